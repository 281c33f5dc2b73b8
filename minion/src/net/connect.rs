//! From an address to a connection that has shaken hands.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout_at;

use super::link::{Link, after};
use super::{Error, Stage};
use crate::zmtp::{Event, Rhythm, Socket};

/// How to reach a peer, and how to know that it is still there.
#[derive(Clone, Debug)]
pub struct Connect {
    /// The peer, IPv4 or IPv6. Names are resolved by the caller, who may have several addresses.
    pub target: SocketAddr,
    /// Salt's `source_address` with `source_ret_port` or `source_publish_port`; port 0 is any. A
    /// second connection to one peer comes from any port.
    pub source: Option<SocketAddr>,
    /// Salt's `tcp_keepalive` and its three companions.
    pub keepalive: Keepalive,
    /// The deadline for TCP and ZMTP together, from the first packet to the peer's READY.
    pub within: Duration,
    /// Our own heartbeat once connected.
    pub rhythm: Rhythm,
}

impl Connect {
    pub(super) async fn run(&self, socket: Socket) -> Result<Link, Error> {
        timeout_at(after(self.within), self.shake_hands(socket))
            .await
            .map_err(|_| Error::Late {
                stage: Stage::Connect,
                within: self.within,
            })?
    }

    async fn shake_hands(&self, socket: Socket) -> Result<Link, Error> {
        let stream = self.dial().await.map_err(|source| Error::Connect {
            target: self.target,
            source,
        })?;
        let mut link = Link::new(stream, socket, self.rhythm);
        // The first event of a connection can only be the end of its handshake.
        while !matches!(link.event().await?, Event::Ready(_)) {}
        Ok(link)
    }

    async fn dial(&self) -> io::Result<TcpStream> {
        let Some(source) = self.source.filter(|source| source.port() != 0) else {
            return self.dial_from(self.source).await;
        };
        match self.dial_from(Some(source)).await {
            // From one port one connection leads to one peer, and there may be two for a moment: a
            // renewal, or the probe of a job. Nor is it free for a minute after it was closed.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                let any = SocketAddr::new(source.ip(), 0);
                self.dial_from(Some(any)).await
            }
            dialled => dialled,
        }
    }

    async fn dial_from(&self, source: Option<SocketAddr>) -> io::Result<TcpStream> {
        let socket = match self.target {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(source) = source {
            // As libzmq does: a fixed port is needed again while the old connection still lingers.
            socket.set_reuseaddr(true)?;
            socket.bind(source)?;
        }
        // Requests are single writes, and nothing is gained by waiting for a second one.
        socket.set_nodelay(true)?;
        if let Keepalive::On { .. } = self.keepalive {
            SockRef::from(&socket).set_tcp_keepalive(&self.keepalive.options())?;
        }
        socket.connect(self.target).await
    }
}

/// TCP's own probes, which find a dead host but not a stopped process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keepalive {
    /// `tcp_keepalive: False`.
    Off,
    /// `tcp_keepalive: True`; `None` is Salt's -1, the system's own value.
    On {
        /// `tcp_keepalive_idle`: silence before the first probe.
        idle: Option<Duration>,
        /// `tcp_keepalive_intvl`: between two probes.
        interval: Option<Duration>,
        /// `tcp_keepalive_cnt`: how many probes may stay without an answer.
        count: Option<u32>,
    },
}

impl Keepalive {
    fn options(self) -> TcpKeepalive {
        let mut options = TcpKeepalive::new();
        if let Self::On {
            idle,
            interval,
            count,
        } = self
        {
            if let Some(idle) = idle {
                options = options.with_time(idle);
            }
            if let Some(interval) = interval {
                options = options.with_interval(interval);
            }
            if let Some(count) = count {
                options = options.with_retries(count);
            }
        }
        options
    }
}

impl Default for Keepalive {
    /// Salt's defaults: on, after 300 seconds, the rest as the system has it.
    fn default() -> Self {
        Self::On {
            idle: Some(Duration::from_secs(300)),
            interval: None,
            count: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn dial(keepalive: Keepalive) -> TcpStream {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let rhythm = Rhythm {
            interval: Duration::MAX,
            patience: Duration::MAX,
        };
        let options = Connect {
            target: listener.local_addr().unwrap(),
            source: None,
            keepalive,
            within: Duration::MAX,
            rhythm,
        };
        options.dial().await.unwrap()
    }

    #[tokio::test]
    async fn keepalive_is_what_salts_options_say() {
        let stream = dial(Keepalive::default()).await;
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 300);

        let stream = dial(Keepalive::On {
            idle: None,
            interval: Some(Duration::from_secs(7)),
            count: Some(5),
        })
        .await;
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 7);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 5);

        let stream = dial(Keepalive::Off).await;
        assert!(!SockRef::from(&stream).keepalive().unwrap());
    }

    #[tokio::test]
    async fn a_second_connection_to_a_peer_comes_from_another_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // A port that nobody listens at and that the system has just given away.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let source = free.local_addr().unwrap();
        drop(free);
        let options = Connect {
            target: listener.local_addr().unwrap(),
            source: Some(source),
            keepalive: Keepalive::Off,
            within: Duration::MAX,
            rhythm: Rhythm {
                interval: Duration::MAX,
                patience: Duration::MAX,
            },
        };
        let first = options.dial().await.unwrap();
        let second = options.dial().await.unwrap();
        assert_eq!(first.local_addr().unwrap(), source);
        let second = second.local_addr().unwrap();
        assert_eq!(second.ip(), source.ip());
        assert_ne!(second.port(), source.port());
    }
}
