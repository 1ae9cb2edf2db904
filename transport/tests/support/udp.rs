//! Quinn's socket over turmoil's.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::sync::{Mutex, mpsc};

/// Datagrams that wait to be read; more are held back in the network.
const WAITING: usize = 1_024;

/// A datagram and who sent it.
type Datagram = (Vec<u8>, SocketAddr);

pub(crate) struct Socket {
    inner: Arc<turmoil::net::UdpSocket>,
    /// Of one thread: never held by another.
    came: Mutex<mpsc::Receiver<Datagram>>,
    local: SocketAddr,
}

impl Socket {
    /// On a simulated host. The socket is read by a task, since turmoil's cannot be polled.
    pub(crate) async fn bind(port: u16) -> io::Result<Arc<Self>> {
        let inner = Arc::new(turmoil::net::UdpSocket::bind(("0.0.0.0", port)).await?);
        let local = inner.local_addr()?;
        let (sender, came) = mpsc::channel(WAITING);
        let reader = Arc::clone(&inner);
        tokio::spawn(async move {
            let mut buffer = vec![0; 1 << 16];
            while let Ok((size, from)) = reader.recv_from(&mut buffer).await {
                if sender.send((buffer[..size].to_vec(), from)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Arc::new(Self { inner, came: Mutex::new(came), local }))
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.local)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Ready)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send_to(transmit.contents, transmit.destination).map(|_| ())
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        about: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(next) = self.came.try_lock().unwrap().poll_recv(context) else { return Poll::Pending };
        let Some((bytes, addr)) = next else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        buffers[0][..bytes.len()].copy_from_slice(&bytes);
        about[0] = RecvMeta { addr, len: bytes.len(), stride: bytes.len(), ecn: None, dst_ip: None };
        Poll::Ready(Ok(1))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }
}

/// The network takes whatever is sent.
#[derive(Debug)]
struct Ready;

impl UdpPoller for Ready {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
