//! What reading a provider's stream costs: many answers at once from the scripted server of this process, over real
//! sockets. Server and reader share the time, so the reader's own part is less.
//!
//! `cargo run --release -p providers --example overhead [ANSWERS] [TOKENS] [AT ONCE]`

use std::sync::Arc;
use std::time::Duration;

use protocol::config::ProviderKind;
use protocol::request::{ChatMessage, Input, Request};
use protocol::units::{Tokens, UnixMillis};
use providers::mock::{Mock, Reply};
use providers::{Call, Provider};
use tokio::sync::Semaphore;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse::<usize>());
    let answers = numbers.next().transpose()?.unwrap_or(500);
    let tokens = numbers.next().transpose()?.unwrap_or(200);
    let at_once = numbers.next().transpose()?.unwrap_or(16);
    for kind in ProviderKind::ALL {
        let mock = Mock::start().await?;
        mock.always(Reply::words(tokens));
        let provider = Arc::new(Provider::new("mock", &mock.config(kind, "m", "m"), None)?);
        let places = Arc::new(Semaphore::new(at_once));
        let start = Instant::now();
        let mut running = Vec::new();
        for _ in 0..answers {
            let place = Arc::clone(&places).acquire_owned().await?;
            let provider = Arc::clone(&provider);
            running.push(tokio::spawn(async move {
                let pieces = read(&provider).await;
                drop(place);
                pieces
            }));
        }
        let mut pieces = 0;
        for one in running {
            pieces += one.await??;
        }
        let took = start.elapsed();
        let each = took.checked_div(u32::try_from(pieces)?).unwrap_or_default();
        println!("{:9} {answers} answers, {pieces} pieces in {took:.2?}: {each:?} for each", kind.as_str());
    }
    Ok(())
}

async fn read(provider: &Provider) -> Result<u64, providers::Failure> {
    let input = Input::Chat(vec![ChatMessage::new("user", "Count.")]);
    let request = Request { model: "m".into(), input, ..Request::default() };
    let deadline = Duration::from_secs(60);
    let call = Call { request, max_tokens: Tokens(1_000_000), deadline, idempotency: None };
    let mut stream = provider.start(call, UnixMillis(0)).await?;
    let mut pieces = 0;
    while let Some(piece) = stream.next().await {
        piece?;
        pieces += 1;
    }
    Ok(pieces)
}
