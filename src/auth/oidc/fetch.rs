//! Fetches a small JSON document over HTTPS: one request, no redirects, limited in time and size. Room: auth/oidc.

use std::{path::Path, sync::Arc, time::Duration};

use axum::http::{
    Request, StatusCode, Uri,
    header::{ACCEPT, HOST, USER_AGENT},
};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use crate::config::oidc::is_trustworthy;

/// Time limit of a request, from the DNS lookup to the last byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest document. A set of ten keys with certificates takes 20 kB.
pub(super) const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// The HTTPS client for an issuer's servers.
pub(super) struct Client(TlsConnector);

impl Client {
    /// A client that trusts the certificates in `ca_file`, or Mozilla's root certificates.
    ///
    /// # Errors
    /// A message for the operator: the file cannot be read or holds no certificate.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(file) => {
                let unread = || format!("the certificates in `{}` cannot be read", file.display());
                for certificate in CertificateDer::pem_file_iter(file).map_err(|_| unread())? {
                    roots.add(certificate.map_err(|_| unread())?).map_err(|_| unread())?;
                }
                if roots.is_empty() {
                    return Err(format!("`{}` holds no certificate", file.display()));
                }
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|_| "no TLS version is available".to_owned())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Fetches the document at `url`.
    ///
    /// # Errors
    /// Why the request failed, without quoting anything.
    pub(super) async fn get(&self, url: &str) -> Result<Bytes, &'static str> {
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.send(url));
        answer.await.map_err(|_| "the server did not answer in time")?
    }

    async fn send(&self, url: &str) -> Result<Bytes, &'static str> {
        // Discovery documents supply URLs as well, so the check is here, where it cannot be bypassed.
        let uri: Uri = url.parse().ok().filter(|_| is_trustworthy(url)).ok_or("the URL is not https")?;
        let (host, tls) = (uri.host().unwrap_or_default(), uri.scheme_str() == Some("https"));
        let name = host.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let stream = TcpStream::connect((name, port)).await.map_err(|_| "the server is unreachable")?;
        let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(HOST, uri.authority().map_or(host, |authority| authority.as_str()))
            .header(ACCEPT, "application/json, application/jwk-set+json")
            .header(USER_AGENT, "zweck")
            .body(Empty::new())
            .map_err(|_| "the URL is invalid")?;
        if !tls {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(name.to_owned()).map_err(|_| "the URL is invalid")?;
        exchange(self.0.connect(name, stream).await.map_err(|_| "TLS failed")?, request).await
    }
}

async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>) -> Result<Bytes, &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = "the connection failed";
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| broken)?;
    // Dropped with this future, and the connection with it.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await.map_err(|_| broken)?;
    if response.status() != StatusCode::OK {
        return Err("the server returned an error");
    }
    let body = Limited::new(response.into_body(), MAX_DOCUMENT_BYTES).collect().await;
    Ok(body.map_err(|_| "the document is too large or incomplete")?.to_bytes())
}
