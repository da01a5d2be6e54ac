//! Verifies signatures with ring, and those of P-521, which neither ring nor the JWT crate supports, with `p521`.
//! Room: auth/oidc.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Verifier},
};
use p521::ecdsa::signature::Verifier as _;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use crate::config::oidc::Algorithm as Named;

/// The header of a token (RFC 7515, 4.1). A duplicate member is an error.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) typ: Option<String>,
    pub(super) kid: Option<String>,
    jwk: Option<IgnoredAny>,
    jku: Option<IgnoredAny>,
    x5u: Option<IgnoredAny>,
    x5c: Option<IgnoredAny>,
    crit: Option<IgnoredAny>,
    enc: Option<IgnoredAny>,
    zip: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "is_present")]
    b64: bool,
}

/// Whether a member is present, whatever its value is.
fn is_present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(value).map(|_| true)
}

impl Header {
    pub(super) fn parse(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()
    }

    /// Whether the header supplies a key or requires an unknown extension.
    pub(super) fn has_key_or_extension(&self) -> bool {
        let brings = [&self.jwk, &self.jku, &self.x5u, &self.x5c];
        let extends = [&self.crit, &self.enc, &self.zip];
        self.b64 || brings.into_iter().chain(extends).any(Option::is_some)
    }
}

/// A public key of an issuer.
pub(super) enum PublicKey {
    /// One that the JWT crate supports.
    Known(DecodingKey),
    P521(Box<p521::ecdsa::VerifyingKey>),
}

impl From<DecodingKey> for PublicKey {
    fn from(key: DecodingKey) -> Self {
        PublicKey::Known(key)
    }
}

impl PublicKey {
    /// A P-521 key from its coordinates (RFC 7518, 6.2.1), if the point is on the curve.
    pub(super) fn from_p521(x: &[u8; 66], y: &[u8; 66]) -> Option<Self> {
        let point = [[4].as_slice(), x, y].concat();
        Some(Self::P521(Box::new(p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?)))
    }

    /// The claims of a token whose signature by `algorithm` is valid. Nothing else is checked.
    pub(super) fn verified(&self, token: &str, algorithm: Named) -> Option<Map<String, Value>> {
        let (message, signature) = token.rsplit_once('.')?;
        let holds = match self {
            Self::Known(key) => {
                jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, to_jwt_algorithm(algorithm)?)
                    .ok()?
            }
            Self::P521(key) if algorithm == Named::ES512 => {
                let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
                let signature = p521::ecdsa::Signature::from_slice(&signature).ok()?;
                key.verify(message.as_bytes(), &signature).is_ok()
            }
            Self::P521(_) => false,
        };
        let (_, claims) = message.split_once('.').filter(|_| holds)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

/// The JWT crate's name for an algorithm.
fn to_jwt_algorithm(algorithm: Named) -> Option<Algorithm> {
    Some(match algorithm {
        Named::RS256 => Algorithm::RS256,
        Named::RS384 => Algorithm::RS384,
        Named::RS512 => Algorithm::RS512,
        Named::PS256 => Algorithm::PS256,
        Named::PS384 => Algorithm::PS384,
        Named::PS512 => Algorithm::PS512,
        Named::ES256 => Algorithm::ES256,
        Named::ES384 => Algorithm::ES384,
        Named::EdDSA => Algorithm::EdDSA,
        Named::ES512 => return None,
    })
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err::<Box<dyn JwtSigner>, Error>(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: verifier,
    // For private keys and thumbprints only, which this program does not use.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring verify signatures. Repeated calls have no effect.
pub(super) fn install() {
    // An error means that a provider is already installed; it can only be this one.
    let _ = PROVIDER.install_default();
}

/// INVARIANT: a key is only ever used with an algorithm of its own family, and never with a shared secret.
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if key.family() != algorithm.family() || algorithm.family() == AlgorithmFamily::Hmac {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    Ok(Box::new(VerifiedToken { algorithm: *algorithm, key: key.clone() }))
}

struct VerifiedToken {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for VerifiedToken {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for VerifiedToken {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let verified = match (self.algorithm, self.key.kind()) {
            (algorithm, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                let parameters = match algorithm {
                    Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
                    Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
                    Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
                    Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
                    Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
                    Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
                    _ => return Err(signature::Error::new()),
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, signature)
            }
            (Algorithm::ES384, DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key).verify(message, signature)
            }
            (Algorithm::EdDSA, DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(&ED25519, key).verify(message, signature)
            }
            _ => return Err(signature::Error::new()),
        };
        verified.map_err(|_| signature::Error::new())
    }
}
