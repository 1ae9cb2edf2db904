//! The Hugging Face hub, or a mirror that speaks like it.
//!
//! `hf-hub` knows its addresses, its headers and its redirects, and asks; what it downloads it would neither check nor
//! put where we want it, so bytes are taken here. A listing names a commit, and all files come from that commit, however
//! the branch moves meanwhile. Hashes are those of the listing: SHA-256 of large files, git's names of small ones. A
//! mirror that lists none is asked for each file's etag, which is the same.
//! Rules: the token goes over TLS only, or to this very machine; answers are bounded; addresses with a signature in
//! them are not logged.

use futures_util::{StreamExt as _, TryStreamExt as _};
use hf_hub::api::tokio::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use protocol::config::HubSource;
use protocol::files::unhex;
use serde::Deserialize;
use tokio::time::timeout;
use transport::BoxFuture;

use super::ObtainError;
use super::choose::choose;
use super::hash::Expect;
use super::names::{SafeName, path_fault};
use super::origin::{Fault, Listing, Opened, Origin, Pace, Wanted};

/// The public one.
pub(crate) const PUBLIC: &str = "https://huggingface.co";
/// The longest listing.
const LONGEST: usize = 8 << 20;

/// A repository.
pub(crate) struct Hub {
    api: Api,
    base: String,
    source: HubSource,
    pace: Pace,
}

#[derive(Deserialize)]
struct Info {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    #[serde(alias = "oid")]
    sha256: Option<String>,
    size: Option<u64>,
}

impl Hub {
    pub(crate) fn new(base: &str, token: Option<&str>, source: &HubSource, pace: Pace) -> Result<Self, ObtainError> {
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("https://") && !base.starts_with("http://") {
            let problem = "is no address: write https://HOST in node.hub or HF_ENDPOINT".to_owned();
            return Err(ObtainError::Hub { base, problem });
        }
        let told = token.filter(|_| may_hear(&base));
        if token.is_some() && told.is_none() {
            tracing::warn!("{base} is not asked with HF_TOKEN, which would go there unencrypted");
        }
        // Its cache is not used.
        let api = ApiBuilder::from_cache(Cache::default())
            .with_endpoint(base.clone())
            .with_token(told.map(str::to_owned))
            .with_progress(false)
            .with_user_agent("troupe", env!("CARGO_PKG_VERSION"))
            .build();
        match api {
            Ok(api) => Ok(Self { api, base, source: source.clone(), pace }),
            Err(ApiError::InvalidHeaderValue(_)) => {
                Err(ObtainError::Token("HF_TOKEN holds what no token holds".to_owned()))
            }
            Err(error) => Err(ObtainError::Hub { base, problem: chain(&error) }),
        }
    }

    fn repo(&self, revision: &str) -> hf_hub::api::tokio::ApiRepo {
        self.api.repo(Repo::with_revision(self.source.repo.clone(), RepoType::Model, revision.to_owned()))
    }

    async fn within<T>(&self, answer: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let silent = |_| Fault::Passing(format!("no answer came within {:?}", self.pace.stall));
        timeout(self.pace.stall, answer).await.map_err(silent)?
    }

    async fn info(&self, revision: &str) -> Result<Info, Fault> {
        let answer = self.repo(revision).info_request().query(&[("blobs", "true")]).send().await;
        let answer = answer.map_err(|error| Fault::Passing(chain(&error.without_url())))?;
        self.judge(answer.status().as_u16(), &format!("{}, revision {revision}", self.source.repo))?;
        let mut body = Vec::new();
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Fault::Passing(chain(&error.without_url())))?;
            if body.len() + chunk.len() > LONGEST {
                return Err(self.wrong(format!("its listing is longer than {LONGEST} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| self.wrong(format!("its listing is not understood: {error}")))
    }

    async fn wanted(&self, info: &Info, revision: &str) -> Result<Listing, Fault> {
        let chosen = self.chosen(info)?;
        // A commit does not move, a branch may.
        let commit = info.sha.clone().filter(|sha| unhex::<20>(sha).is_some());
        let repo = self.repo(commit.as_deref().unwrap_or(revision));
        let mut files = Vec::new();
        for sibling in chosen {
            let path = &sibling.rfilename;
            let name = path.rsplit('/').next().unwrap_or_default();
            let name = SafeName::new(name).map_err(ObtainError::from)?;
            let remote = repo.url(&escape(path));
            let (size, expect) = match known(sibling) {
                Some(known) => known,
                None => self.within(self.ask(&name, &remote)).await?,
            };
            files.push(Wanted { name, size, expect, remote });
        }
        Ok(Listing { files, commit })
    }

    fn chosen<'a>(&self, info: &'a Info) -> Result<Vec<&'a Sibling>, Fault> {
        let paths = || info.siblings.iter().map(|sibling| sibling.rfilename.as_str());
        let names: Vec<&str> = match &self.source.file {
            Some(file) => {
                if let Some((path, problem)) = paths().find_map(|path| Some((path, path_fault(path)?))) {
                    let name = path.chars().take(200).collect();
                    return Err(ObtainError::Name(super::names::BadName { name, problem }).into());
                }
                let found = paths().find(|path| path == file);
                let what = || format!("{file} in {}", self.source.repo);
                vec![found.ok_or_else(|| ObtainError::NotThere { what: what(), base: self.base.clone() })?]
            }
            None => choose(paths()).map_err(|problem| ObtainError::NoModel {
                place: self.source.to_string(),
                problem: problem.to_string(),
            })?,
        };
        Ok(info.siblings.iter().filter(|sibling| names.contains(&sibling.rfilename.as_str())).collect())
    }

    /// Size and hash of one file, from the head of its bytes.
    async fn ask(&self, name: &SafeName, remote: &str) -> Result<(u64, Expect), Fault> {
        let (api, url) = (self.api.clone(), remote.to_owned());
        // A task of its own: the crate takes some headers for granted.
        let asked = tokio::spawn(async move { api.metadata(&url).await }).await;
        let metadata = match asked {
            Ok(Ok(metadata)) => metadata,
            Ok(Err(ApiError::RequestError(error))) => {
                if let Some(status) = error.status() {
                    self.judge(status.as_u16(), name.as_str())?;
                }
                return Err(Fault::Passing(chain(&error.without_url())));
            }
            Ok(Err(error)) => return Err(self.wrong(format!("{name}: {}", chain(&error)))),
            Err(_) => return Err(self.wrong(format!("{name}: its answer is not understood"))),
        };
        let etag = metadata.etag().trim_start_matches("W/");
        let expect = Expect { sha256: etag.parse().ok(), git: unhex(etag) };
        if !expect.is_known() {
            return Err(self.wrong(format!("{name} has neither a hash nor an etag that is one: it cannot be checked")));
        }
        Ok((metadata.size() as u64, expect))
    }

    async fn bytes(&self, file: &Wanted, offset: u64) -> Result<Opened, Fault> {
        let mut request = self.api.client().get(&file.remote);
        if offset > 0 {
            request = request.header("range", format!("bytes={offset}-"));
        }
        let answer = request.send().await.map_err(|error| Fault::Passing(chain(&error.without_url())))?;
        let begins = match answer.status().as_u16() {
            206 => {
                let range = answer.headers().get("content-range").and_then(|range| range.to_str().ok());
                let begins = range.and_then(first_byte);
                begins.filter(|begins| *begins == offset).ok_or_else(|| {
                    self.wrong(format!("{}: bytes from {offset} on were asked for, it sends {range:?}", file.name))
                })?
            }
            200 => 0,
            // It does not have so many bytes: the hash will tell what of that is wrong.
            416 => return Err(Fault::Passing(format!("it has no byte {offset}"))),
            status => {
                self.judge(status, file.name.as_str())?;
                return Err(self.wrong(format!("{}: status {status}", file.name)));
            }
        };
        let bytes = answer.bytes_stream().map_err(|error| Fault::Passing(chain(&error.without_url())));
        Ok(Opened { begins, bytes: bytes.boxed() })
    }

    /// What a status means for whoever wants `what`.
    fn judge(&self, status: u16, what: &str) -> Result<(), Fault> {
        let base = &self.base;
        match status {
            200..=299 => Ok(()),
            401 | 403 => Err(ObtainError::Token(format!(
                "{base} refuses {what} (status {status}): set HF_TOKEN to a token that may read it, and accept its terms there; or it does not exist"
            ))
            .into()),
            404 => Err(ObtainError::NotThere { what: what.to_owned(), base: base.clone() }.into()),
            408 | 429 | 500..=599 => Err(Fault::Passing(format!("status {status}"))),
            _ => Err(self.wrong(format!("{what}: status {status}"))),
        }
    }

    fn wrong(&self, problem: String) -> Fault {
        ObtainError::Hub { base: self.base.clone(), problem }.into()
    }
}

impl Origin for Hub {
    fn list(&self) -> BoxFuture<'_, Result<Listing, Fault>> {
        Box::pin(async {
            let revision = self.source.revision.as_deref().unwrap_or("main");
            let info = self.within(self.info(revision)).await?;
            self.wanted(&info, revision).await
        })
    }

    fn open<'a>(&'a self, file: &'a Wanted, offset: u64) -> BoxFuture<'a, Result<Opened, Fault>> {
        Box::pin(self.bytes(file, offset))
    }
}

/// What the listing itself says of a file.
fn known(sibling: &Sibling) -> Option<(u64, Expect)> {
    let (size, expect) = match &sibling.lfs {
        // The blob is only a pointer to it.
        Some(lfs) => {
            let sha256 = lfs.sha256.as_ref().and_then(|hash| hash.parse().ok());
            (lfs.size.or(sibling.size)?, Expect { sha256, git: None })
        }
        None => (sibling.size?, Expect { sha256: None, git: sibling.blob.as_deref().and_then(unhex) }),
    };
    expect.is_known().then_some((size, expect))
}

/// Whether a token may be sent there.
fn may_hear(base: &str) -> bool {
    let Some(rest) = base.strip_prefix("http://") else { return true };
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// `bytes 5-9/10` begins at 5.
fn first_byte(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

/// A path as it stands in an address.
fn escape(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/');
    let escaped =
        path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    escaped.collect()
}

/// An error with all that lies behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shouted() {
        for base in [PUBLIC, "http://127.0.0.1:80", "http://localhost/hf", "http://[::1]:9"] {
            assert!(may_hear(base), "{base}");
        }
        for base in ["http://hub", "http://127.0.0.1.example.com", "http://localhost.example:80/x"] {
            assert!(!may_hear(base), "{base}");
        }
    }

    #[test]
    fn ranges_and_paths() {
        assert_eq!(first_byte("bytes 5-9/10"), Some(5));
        assert_eq!((first_byte("bytes */10"), first_byte("5-9")), (None, None));
        assert_eq!(escape("a/b c#1?.gguf"), "a/b%20c%231%3F.gguf");
    }

    #[test]
    fn the_blob_of_a_large_file_is_only_a_pointer() {
        let sibling = |text: &str| known(&serde_json::from_str(text).unwrap());
        let git = "ce013625030ba8dba906f756967f9e9ca394464a";
        let hash = "ab".repeat(32);
        let small = sibling(&format!(r#"{{"rfilename": "a", "size": 6, "blobId": "{git}"}}"#));
        assert_eq!(small.map(|(size, expect)| (size, expect.git.is_some(), expect.sha256)), Some((6, true, None)));
        let large =
            format!(r#"{{"rfilename": "a", "size": 9, "blobId": "{git}", "lfs": {{"sha256": "{hash}", "size": 9}}}}"#);
        let large = sibling(&large).unwrap();
        assert_eq!((large.0, large.1.git, large.1.sha256.unwrap().to_string()), (9, None, hash));
        assert_eq!(sibling(r#"{"rfilename": "a"}"#), None);
        assert_eq!(sibling(&format!(r#"{{"rfilename": "a", "size": 9, "blobId": "{git}", "lfs": {{}}}}"#)), None);
    }
}
