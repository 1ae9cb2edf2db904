//! TLS: an answer over it, and that nobody is believed who cannot prove who he is.

use std::path::Path;
use std::sync::Arc;

use protocol::config::ProviderKind;
use providers::mock::Mock;
use providers::{BadProvider, FailureKind, Provider, Secret};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::*;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
data: {\"choices\":[{\"delta\":{\"content\":\"In private.\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

/// A server for `localhost` with a certificate of its own, which is written to `authority`. It hands out the head of
/// each request.
async fn server(authority: &Path) -> (u16, tokio::sync::mpsc::Receiver<String>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(authority, made.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (heads, seen) = tokio::sync::mpsc::channel(8);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Who does not trust it goes away in the middle.
            let Ok(mut socket) = acceptor.accept(socket).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
            let _ = heads.send(String::from_utf8(head).unwrap()).await;
            let _ = socket.write_all(ANSWER.as_bytes()).await;
            let _ = socket.shutdown().await;
        }
    });
    (port, seen)
}

#[tokio::test]
async fn an_answer_over_tls_from_who_proves_who_he_is() {
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    let (port, mut seen) = server(&authority).await;
    let mock = Mock::start().await.unwrap();
    let base = format!("https://localhost:{port}/v1");
    let trusting = with(&mock, ProviderKind::OpenAi, |config| {
        config.base = Some(base.clone());
        config.ca_file = Some(authority.clone());
    });
    let got = ask(&trusting, hello()).await;
    assert_eq!((got.text(), got.failure.as_ref()), ("In private.", None));
    let head = seen.recv().await.unwrap().to_ascii_lowercase();
    assert!(head.starts_with("post /v1/chat/completions") && head.contains(&format!("bearer {KEY}")), "{head}");
    // Neither without the authority, nor under another name.
    for (base, authority) in [(base, None), (format!("https://127.0.0.1:{port}/v1"), Some(authority.clone()))] {
        let provider = with(&mock, ProviderKind::OpenAi, |config| {
            (config.base, config.ca_file) = (Some(base.clone()), authority);
        });
        let failure = fail(&provider, hello()).await;
        assert_eq!(failure.kind, FailureKind::Down, "{base}");
        assert!(failure.message.contains("certificate"), "{}", failure.message);
    }
    assert!(seen.try_recv().is_err(), "the key was sent to who has proved nothing");
}

#[tokio::test]
async fn authorities_that_are_none_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let mock = Mock::start().await.unwrap();
    for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")] {
        let path = folder.path().join("authority.pem");
        text.map_or(Ok(()), |text| std::fs::write(&path, text)).unwrap();
        let mut config = mock.config(ProviderKind::OpenAi, MODEL, THERE);
        config.ca_file = Some(path);
        let error = Provider::new("acme", &config, Secret::new(KEY, "test").ok()).unwrap_err();
        let named = matches!(&error, BadProvider::Authorities { provider, .. } if provider == "acme");
        assert!(named || matches!(error, BadProvider::Client { .. }), "{error}");
    }
}
