//! The state folder: the cluster's authority, its join token, the admin key, a lock.
//!
//! Rules: what is missing is made at the start, what is there is never overwritten. Secrets are readable
//! by their owner alone. Two coordinators cannot share a folder.

use std::fs::File;
use std::path::{Path, PathBuf};

use transport::pki::{ClusterAuthority, PkiError, read_secret, write_secret};
use transport::token::{BadToken, JoinToken};

use crate::keys::Keys;

pub mod authority;

const ADMIN_KEY: &str = "admin.key";
const JOIN_TOKEN: &str = "join.token";
const LOCK: &str = "coordinator.lock";

/// An open state folder.
#[derive(Debug)]
pub struct State {
    folder: PathBuf,
    /// The cluster's authority.
    pub authority: ClusterAuthority,
    /// With which nodes join.
    pub token: JoinToken,
    /// Who may ask.
    pub keys: Keys,
    _lock: File,
}

/// A state folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder itself.
    #[error("{path}: {source}; choose another folder with --state or coordinator.state")]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Another process uses it.
    #[error("{0} is in use by another coordinator: stop it, or choose another folder with --state")]
    Locked(PathBuf),
    /// Certificates or files.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The token's file is damaged.
    #[error("{path}: {error}; remove the file to make a new token")]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: BadToken,
    },
    /// The token's file is of another authority.
    #[error("{0} is of another cluster: remove the file to make a new token")]
    ForeignToken(PathBuf),
    /// The system has no randomness.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

impl State {
    /// Opens a folder, and makes what is missing.
    ///
    /// # Errors
    /// A folder that cannot be used; nothing in it is changed then.
    pub fn open(folder: &Path, now: i64) -> Result<Self, StateError> {
        let io = |source| StateError::Io { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        #[cfg(unix)]
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(io)?;
        let lock = File::create(folder.join(LOCK)).map_err(io)?;
        lock.try_lock().map_err(|_| StateError::Locked(folder.to_owned()))?;
        let authority = ClusterAuthority::load_or_create(folder, now)?;
        let path = folder.join(JOIN_TOKEN);
        if !path.exists() {
            let token = JoinToken::new(authority.fingerprint(), random()?);
            write_secret(&path, format!("{}\n", token.reveal()).as_bytes())?;
        }
        let token: JoinToken =
            read_secret(&path)?.parse().map_err(|error| StateError::Token { path: path.clone(), error })?;
        if token.fingerprint != authority.fingerprint() {
            return Err(StateError::ForeignToken(path));
        }
        let path = folder.join(ADMIN_KEY);
        if !path.exists() {
            write_secret(&path, format!("{}\n", Keys::make(random()?)).as_bytes())?;
        }
        let keys = Keys::new(&read_secret(&path)?);
        Ok(Self { folder: folder.to_owned(), authority, token, keys, _lock: lock })
    }

    /// Where the admin key lies.
    pub fn admin_key_file(&self) -> PathBuf {
        self.folder.join(ADMIN_KEY)
    }

    /// Where the join token lies.
    pub fn join_token_file(&self) -> PathBuf {
        self.folder.join(JOIN_TOKEN)
    }

    /// Where the authority's certificate lies.
    pub fn ca_file(&self) -> PathBuf {
        ClusterAuthority::certificate_path(&self.folder)
    }
}

fn random<const N: usize>() -> Result<[u8; N], StateError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(StateError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_folder_keeps_its_secrets_and_admits_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let state = State::open(&path, NOW).unwrap();
        assert!(matches!(State::open(&path, NOW), Err(StateError::Locked(_))));
        let (key, token) = (read_secret(&state.admin_key_file()).unwrap(), state.token.reveal());
        drop(state);
        let again = State::open(&path, NOW + 5).unwrap();
        assert_eq!(again.token.reveal(), token);
        let made = actors::cost::keys::Keys::default();
        assert!(again.keys.authenticate(&key, &made, protocol::units::UnixMillis(0)).is_ok());
        #[cfg(unix)]
        for file in [again.admin_key_file(), again.join_token_file()] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_or_foreign_token_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = State::open(folder.path(), NOW).unwrap().join_token_file();
        std::fs::write(&path, "nonsense").unwrap();
        assert!(matches!(State::open(folder.path(), NOW), Err(StateError::Token { .. })));
        let foreign = JoinToken::new(transport::token::Fingerprint([1; 32]), [2; 32]);
        std::fs::write(&path, foreign.reveal()).unwrap();
        assert!(matches!(State::open(folder.path(), NOW), Err(StateError::ForeignToken(_))));
    }
}
