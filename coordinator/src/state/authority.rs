//! One authority for several coordinators: what a second one must have to serve the same cluster.
//!
//! Rules: the file holds secrets, whoever reads it can be the cluster: it is readable by its owner alone. It is
//! taken into an empty folder only, checked as a whole first, and nothing is left behind if it is no good.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use transport::pki::{ClusterAuthority, PkiError, read_secret, write_secret};

use super::{ADMIN_KEY, JOIN_TOKEN, State, StateError};

/// The format of the file.
const FORMAT: u32 = 1;

/// What makes a coordinator one of a cluster.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Authority {
    troupe_authority: u32,
    ca_certificate: String,
    ca_key: String,
    join_token: String,
    admin_key: String,
}

/// An authority cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file of it.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// There is nothing to hand over.
    #[error("{0} holds no authority: start a coordinator with this --state once, or choose another folder")]
    Nothing(PathBuf),
    /// It is no such file.
    #[error("{path} is no authority ({problem}): make it with `troupe-coordinator authority export`")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is one already.
    #[error("{0} is not empty: an authority is never overwritten; choose an empty folder with --state")]
    Taken(PathBuf),
    /// The folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Writes the authority of a state folder to a file. The coordinator that uses the folder may run.
///
/// # Errors
/// There is none, or the file cannot be written.
pub fn export(folder: &Path, file: &Path) -> Result<(), AuthorityError> {
    let (certificate, key) = ClusterAuthority::paths(folder);
    if !certificate.exists() || !folder.join(ADMIN_KEY).exists() {
        return Err(AuthorityError::Nothing(folder.to_owned()));
    }
    let authority = Authority {
        troupe_authority: FORMAT,
        ca_certificate: read_secret(&certificate)?,
        ca_key: read_secret(&key)?,
        join_token: read_secret(&folder.join(JOIN_TOKEN))?,
        admin_key: read_secret(&folder.join(ADMIN_KEY))?,
    };
    let text = serde_json::to_string_pretty(&authority).map_err(|error| format_of(file, error))?;
    Ok(write_secret(file, format!("{text}\n").as_bytes())?)
}

/// Makes a state folder of such a file, for another coordinator of the cluster. Says which cluster it is.
///
/// # Errors
/// A folder that is not empty, or a file that is no authority; nothing is left behind then.
pub fn import(folder: &Path, file: &Path, now: i64) -> Result<String, AuthorityError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| AuthorityError::Io { path, source }
    };
    if folder.exists() && std::fs::read_dir(folder).map_err(io(folder))?.next().is_some() {
        return Err(AuthorityError::Taken(folder.to_owned()));
    }
    let authority: Authority = serde_json::from_str(&read_secret(file)?).map_err(|error| format_of(file, error))?;
    if authority.troupe_authority != FORMAT {
        let problem = format!("its format is {}, this program knows {FORMAT}", authority.troupe_authority);
        return Err(AuthorityError::Format { path: file.to_owned(), problem });
    }
    let mut aside = folder.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let made = fill(&aside, &authority, now).and_then(|cluster| {
        if folder.exists() {
            std::fs::remove_dir(folder).map_err(io(folder))?;
        }
        std::fs::rename(&aside, folder).map_err(io(folder))?;
        Ok(cluster)
    });
    if made.is_err() {
        // What it could not do stands in the error.
        let _ = std::fs::remove_dir_all(&aside);
    }
    made
}

fn fill(folder: &Path, authority: &Authority, now: i64) -> Result<String, AuthorityError> {
    let (certificate, key) = ClusterAuthority::paths(folder);
    write_secret(&key, authority.ca_key.as_bytes())?;
    write_secret(&certificate, authority.ca_certificate.as_bytes())?;
    write_secret(&folder.join(JOIN_TOKEN), authority.join_token.as_bytes())?;
    write_secret(&folder.join(ADMIN_KEY), authority.admin_key.as_bytes())?;
    // Opening it is the check.
    Ok(State::open(folder, now)?.authority.cluster().to_string())
}

fn format_of(file: &Path, error: serde_json::Error) -> AuthorityError {
    AuthorityError::Format { path: file.to_owned(), problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_second_coordinator_is_of_the_same_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second, file) =
            (folder.path().join("first"), folder.path().join("second"), folder.path().join("authority.json"));
        let state = State::open(&first, NOW).unwrap();
        export(&first, &file).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(import(&second, &file, NOW).unwrap(), state.authority.cluster().to_string());
        let other = State::open(&second, NOW).unwrap();
        assert_eq!(other.authority.fingerprint(), state.authority.fingerprint());
        assert_eq!(other.token.reveal(), state.token.reveal());
        let key = read_secret(&state.admin_key_file()).unwrap();
        let made = actors::cost::keys::Keys::default();
        assert!(other.keys.authenticate(&key, &made, protocol::units::UnixMillis(0)).is_ok());
    }

    #[test]
    fn nothing_is_overwritten_and_nothing_is_left_of_a_bad_file() {
        let folder = tempfile::tempdir().unwrap();
        let (first, taken, file) =
            (folder.path().join("first"), folder.path().join("taken"), folder.path().join("authority.json"));
        assert!(matches!(export(&first, &file), Err(AuthorityError::Nothing(_))));
        drop(State::open(&first, NOW).unwrap());
        drop(State::open(&taken, NOW).unwrap());
        export(&first, &file).unwrap();
        assert!(matches!(import(&taken, &file, NOW), Err(AuthorityError::Taken(_))));

        let good = std::fs::read_to_string(&file).unwrap();
        let foreign = read_secret(&taken.join(JOIN_TOKEN)).unwrap();
        let own = read_secret(&first.join(JOIN_TOKEN)).unwrap();
        let new = folder.path().join("new");
        for bad in [
            "nonsense".to_owned(),
            good.replace("\"troupe_authority\": 1", "\"troupe_authority\": 2"),
            good.replace("BEGIN PRIVATE KEY", "BEGIN NOTHING"),
            good.replace(own.trim(), foreign.trim()),
        ] {
            assert_ne!(bad, good);
            std::fs::write(&file, bad).unwrap();
            import(&new, &file, NOW).unwrap_err();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "first, taken and the file");
        }
    }
}
