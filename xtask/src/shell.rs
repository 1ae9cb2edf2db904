//! Command lines as people can paste them.

use std::ffi::OsStr;
use std::process::Command;

/// The whole command, quoted for a POSIX shell.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quote).collect::<Vec<_>>().join(" ")
}

/// One word, in single quotes where the shell would read more into it.
pub(crate) fn quote(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy().into_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        let mut command = Command::new("echo");
        command.args(["a b", "it's", "plain-1.0", ""]);
        assert_eq!(line(&command), r"echo 'a b' 'it'\''s' plain-1.0 ''");
    }
}
