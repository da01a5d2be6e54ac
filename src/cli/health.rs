//! `zweck healthcheck`: asks a running server whether it is ready, for containers without a tool of their own.
//! Room: cli.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, anyhow};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use zweck::config::Config;

use super::{exit::CliError, print};

/// Longer than the server takes to find out.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// Far more than the answer is long.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024;

/// Prints the response of `/readyz` at `management.listen`; fails unless it is ready.
pub(crate) async fn check(config: &Config) -> Result<(), CliError> {
    let Some(listen) = config.management.listen else {
        return Err(CliError::Usage(
            "configuration: `management.listen` is empty: nobody can be asked".to_owned(),
        ));
    };
    let answer =
        timeout(REQUEST_TIMEOUT, request_readyz(connectable(listen))).await.context("no answer in time")?;
    let answer = answer.with_context(|| format!("no server answers at {listen}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer.as_str(), ""));
    print(&format!("{}\n", body.trim_end()))?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(anyhow!("the server is not ready").into()),
    }
}

async fn request_readyz(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    stream.write_all(format!("GET /readyz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(MAX_RESPONSE_BYTES).read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Who listens on every address is reached on this machine's own.
fn connectable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
