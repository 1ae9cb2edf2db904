//! Which peers are installed: `../shared/peers/setup.sh` leaves a mark when it is through.

use std::env;
use std::path::{Path, PathBuf};

/// A peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Llama,
    Vllm,
}

impl Peer {
    /// Its folder, and its word for setup.sh.
    fn word(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Vllm => "vllm",
        }
    }

    /// The file in the peers' folder that measures it.
    pub(super) fn script(self) -> &'static str {
        match self {
            Self::Llama => "llama.sh",
            Self::Vllm => "vllm_cpu.py",
        }
    }

    /// What to type to have it next time.
    pub(super) fn remedy(self, scripts: &Path) -> String {
        let (word, setup) = (self.word(), scripts.join("setup.sh"));
        if !scripts.join(self.script()).is_file() {
            return format!("{word}: no {} in {}: say with --peers where it is", self.script(), scripts.display());
        }
        format!("{word}: not installed in {}: run `bash {} {word}`", home().display(), setup.display())
    }

    fn is_there(self, scripts: &Path, home: &Path) -> bool {
        home.join(self.word()).join("done").exists() && scripts.join(self.script()).is_file()
    }
}

/// Those that can be run, and those that cannot.
pub(super) fn look(scripts: &Path) -> (Vec<Peer>, Vec<Peer>) {
    split(scripts, &home())
}

fn split(scripts: &Path, home: &Path) -> (Vec<Peer>, Vec<Peer>) {
    [Peer::Llama, Peer::Vllm].into_iter().partition(|peer| peer.is_there(scripts, home))
}

/// vLLM's own Python.
pub(super) fn vllm_python() -> PathBuf {
    home().join("vllm/bin/python")
}

/// llama.cpp's Python: its package puts the links between its libraries in place when it is first imported.
pub(super) fn llama_python() -> PathBuf {
    home().join("llama/bin/python")
}

/// Where setup.sh puts them: `$TROUPE_PEERS`, else `$XDG_CACHE_HOME/troupe-peers`, else `~/.cache/troupe-peers`.
fn home() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    set("TROUPE_PEERS").or_else(|| Some(cache()?.join("troupe-peers"))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_peer_is_there_once_its_setup_is_through() {
        let folder = tempfile::tempdir().unwrap();
        let (scripts, home) = (folder.path().join("scripts"), folder.path().join("home"));
        fs::create_dir_all(&scripts).unwrap();
        fs::create_dir_all(home.join("llama/done")).unwrap();
        fs::create_dir_all(home.join("vllm/bin")).unwrap();
        assert_eq!(split(&scripts, &home).0, []);
        assert!(Peer::Llama.remedy(&scripts).contains("--peers"));
        for script in ["llama.sh", "vllm_cpu.py"] {
            fs::write(scripts.join(script), "").unwrap();
        }
        assert_eq!(split(&scripts, &home), (vec![Peer::Llama], vec![Peer::Vllm]));
        assert!(Peer::Vllm.remedy(&scripts).contains("setup.sh vllm"));
    }
}
