//! Signs and verifies receipts: W3C Data Integrity, cryptosuite `eddsa-jcs-2022`. Room: domain/receipts.
//!
//! SHA-256 of the proof without its value, then SHA-256 of the document without its proof, each in the canonical form of
//! RFC 8785; both together signed by Ed25519 (RFC 8032).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, SecondsFormat, Utc};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    base::error::{Code, Error},
    config::public_pages::PublicPages,
    crypto::installation_keys::InstallationKeys,
};

/// The path where the keys are published.
pub const KEYS_PATH: &str = "/.well-known/zweck/keys.json";
/// Prefix of a key's name if the server's address is unknown.
const NAMELESS: &str = "urn:zweck:key:";
const SUITE: &str = "eddsa-jcs-2022";
const KIND: &str = "DataIntegrityProof";
const INTENT: &str = "assertionMethod";
/// The multicodec prefix of an Ed25519 public key in a Multikey.
const MULTICODEC: [u8; 2] = [0xed, 0x01];

/// A public key and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// The thumbprint of RFC 7638.
    pub kid: String,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// The key `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(bytes);
        let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self { kid: URL_SAFE_NO_PAD.encode(Sha256::digest(members)), bytes: bytes.to_vec() }
    }

    /// The key of a JSON Web Key; `None` unless it is an Ed25519 key. Its name is computed, not taken from the JWK.
    fn from_jwk(jwk: &Value) -> Option<Self> {
        let is = |name: &str, word: &str| jwk.get(name).and_then(Value::as_str) == Some(word);
        if !is("kty", "OKP") || !is("crv", "Ed25519") {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(jwk.get("x")?.as_str()?).ok()?;
        (bytes.len() == 32).then(|| Self::new(&bytes))
    }

    fn multibase(&self) -> String {
        multibase(&[MULTICODEC.as_slice(), &self.bytes].concat())
    }
}

fn multibase(bytes: &[u8]) -> String {
    format!("z{}", bs58::encode(bytes).into_string())
}

fn key_pair(installation_keys: &InstallationKeys) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_seed_unchecked(installation_keys.signing.expose_secret())
        .map_err(|_| Error::internal("the signing key of receipts is invalid"))
}

fn public_key(pair: &Ed25519KeyPair) -> PublicKey {
    PublicKey::new(pair.public_key().as_ref())
}

/// The name of a key in proofs: where it is published, as far as that is known.
fn verification_method(pages: &PublicPages, kid: &str) -> String {
    match &pages.public_url {
        Some(url) => format!("{url}{KEYS_PATH}#{kid}"),
        None => format!("{NAMELESS}{kid}"),
    }
}

/// The keys that receipts are signed with: a JSON Web Key Set (RFC 7517), which is also a controlled identifier document that
/// verifiers of Data Integrity read.
///
/// # Errors
/// `INTERNAL` for a key that cannot be used.
pub fn published_keys(installation_keys: &InstallationKeys, pages: &PublicPages) -> Result<Value, Error> {
    let key = public_key(&key_pair(installation_keys)?);
    let (method, multibase) = (verification_method(pages, &key.kid), key.multibase());
    let controller = method.split('#').next().unwrap_or_default();
    Ok(json!({
        "@context": ["https://www.w3.org/ns/cid/v1"],
        "id": controller,
        "assertionMethod": [
            {"id": method, "type": "Multikey", "controller": controller, "publicKeyMultibase": multibase}
        ],
        "keys": [{
            "kty": "OKP",
            "crv": "Ed25519",
            "x": URL_SAFE_NO_PAD.encode(&key.bytes),
            "kid": key.kid,
            "use": "sig",
            "alg": "EdDSA",
            "multibase": multibase,
        }],
    }))
}

/// The document with a proof.
///
/// # Errors
/// `INTERNAL` for a key that cannot be used.
pub(super) fn sign(
    mut document: Map<String, Value>,
    installation_keys: &InstallationKeys,
    pages: &PublicPages,
    at: DateTime<Utc>,
) -> Result<Value, Error> {
    let pair = key_pair(installation_keys)?;
    let mut proof = Map::from_iter([
        ("type".to_owned(), KIND.into()),
        ("cryptosuite".to_owned(), SUITE.into()),
        ("created".to_owned(), at.to_rfc3339_opts(SecondsFormat::Micros, true).into()),
        ("verificationMethod".to_owned(), verification_method(pages, &public_key(&pair).kid).into()),
        ("proofPurpose".to_owned(), INTENT.into()),
    ]);
    // Data Integrity EdDSA Cryptosuites 1.0, 3.3.1: the proof has the context of the document.
    proof.extend(document.get("@context").map(|context| ("@context".to_owned(), context.clone())));
    let value = multibase(pair.sign(&hashes(&document, &proof)?).as_ref());
    proof.insert("proofValue".to_owned(), value.into());
    document.insert("proof".to_owned(), Value::Object(proof));
    Ok(Value::Object(document))
}

/// The bytes that are signed.
fn hashes(document: &Map<String, Value>, proof: &Map<String, Value>) -> Result<Vec<u8>, Error> {
    let hash = |part: &Map<String, Value>| {
        let canonical = serde_json_canonicalizer::to_vec(part);
        canonical.map(Sha256::digest).map_err(|_| Error::internal("a document has no canonical form"))
    };
    Ok([hash(proof)?, hash(document)?].concat())
}

/// The error for an invalid receipt.
fn invalid_receipt(message: &str) -> Error {
    Error::new(Code::Conflict, message)
}

/// Verifies `document` and returns the key that signed it, from the published `keys`.
///
/// # Errors
/// `CONFLICT` if it was changed, and for a proof that is missing or of another kind.
pub fn verify(document: &Value, keys: &Value) -> Result<PublicKey, Error> {
    let proof = document.get("proof").ok_or_else(|| invalid_receipt("it has no proof"))?;
    let method = proof.get("verificationMethod").and_then(Value::as_str).unwrap_or_default();
    let kid = match method.strip_prefix(NAMELESS) {
        Some(kid) => kid,
        None => method.split_once('#').map_or("", |(_, kid)| kid),
    };
    let published = keys.get("keys").and_then(Value::as_array);
    let published = published.ok_or_else(|| invalid_receipt("the keys are not a JSON Web Key Set"))?;
    let key = published.iter().filter_map(PublicKey::from_jwk).find(|key| key.kid == kid);
    // The kind of proof is checked first: a key name of another kind may be anything.
    check_kind(proof)?;
    let key = key.ok_or_else(|| invalid_receipt("it is signed with a key that is not known"))?;
    check(document, &key)?;
    Ok(key)
}

fn check_kind(proof: &Value) -> Result<(), Error> {
    let Value::Object(proof) = proof else {
        return Err(invalid_receipt("it must have a single proof"));
    };
    let is = |name: &str, word: &str| proof.get(name).and_then(Value::as_str) == Some(word);
    if !is("type", KIND) || !is("cryptosuite", SUITE) {
        return Err(invalid_receipt("its proof is not of the suite `eddsa-jcs-2022`"));
    }
    if !is("proofPurpose", INTENT) {
        return Err(invalid_receipt("its proof has another purpose"));
    }
    Ok(())
}

/// Checks that `document` is unchanged since it was signed with `key`.
///
/// # Errors
/// `CONFLICT` if it was changed.
pub(super) fn check(document: &Value, key: &PublicKey) -> Result<(), Error> {
    let changed = || invalid_receipt("it was changed after it was signed");
    let mut document = document.as_object().ok_or_else(changed)?.clone();
    let proof = document.shift_remove("proof").ok_or_else(|| invalid_receipt("it has no proof"))?;
    check_kind(&proof)?;
    let Value::Object(mut proof) = proof else { return Err(changed()) };
    if proof.get("@context") != document.get("@context") {
        return Err(changed());
    }
    let value = proof.shift_remove("proofValue").ok_or_else(changed)?;
    let encoded = value.as_str().and_then(|text| text.strip_prefix('z')).ok_or_else(changed)?;
    // A signature has 64 bytes, at most 88 characters; longer ones are not even decoded.
    let signature = if encoded.len() <= 88 { bs58::decode(encoded).into_vec().ok() } else { None };
    let signature = signature.ok_or_else(changed)?;
    UnparsedPublicKey::new(&ED25519, &key.bytes)
        .verify(&hashes(&document, &proof)?, &signature)
        .map_err(|_| changed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::SecretKey;

    fn test_keys(seed: &[u8]) -> InstallationKeys {
        InstallationKeys {
            links: [0; 32].into(),
            suppression: [0; 32].into(),
            signing: SecretKey::from_slice(seed).unwrap(),
            lookups: [0; 32].into(),
        }
    }

    /// The bytes behind the two of a multicodec.
    fn multikey(text: &str) -> Vec<u8> {
        bs58::decode(&text[1..]).into_vec().unwrap()[2..].to_vec()
    }

    /// RFC 8032, 7.1, tests 1 and 3; RFC 8037, A.3 has the thumbprint of the first key.
    #[test]
    fn the_vectors_of_the_rfcs() {
        let first = key_pair(&test_keys(
            &hex::decode("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap(),
        ))
        .unwrap();
        assert_eq!(
            first.public_key().as_ref(),
            hex::decode("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap()
        );
        assert_eq!(
            first.sign(b"").as_ref(),
            hex::decode("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b").unwrap()
        );
        assert_eq!(public_key(&first).kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let third = key_pair(&test_keys(
            &hex::decode("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7").unwrap(),
        ))
        .unwrap();
        assert_eq!(
            third.sign(&[0xaf, 0x82]).as_ref(),
            hex::decode("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a").unwrap()
        );
    }

    fn official() -> (Map<String, Value>, Map<String, Value>) {
        let context =
            json!(["https://www.w3.org/ns/credentials/v2", "https://www.w3.org/ns/credentials/examples/v2"]);
        let document = json!({
            "@context": context,
            "id": "urn:uuid:58172aac-d8ba-11ed-83dd-0b3aef56cc33",
            "type": ["VerifiableCredential", "AlumniCredential"],
            "name": "Alumni Credential",
            "description": "A minimum viable example of an Alumni Credential.",
            "issuer": "https://vc.example/issuers/5678",
            "validFrom": "2023-01-01T00:00:00Z",
            "credentialSubject": {"id": "did:example:abcdefgh", "alumniOf": "The School of Examples"},
        });
        let did = "z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2";
        let proof = json!({
            "type": "DataIntegrityProof",
            "cryptosuite": "eddsa-jcs-2022",
            "created": "2023-02-24T23:36:38Z",
            "verificationMethod": format!("did:key:{did}#{did}"),
            "proofPurpose": "assertionMethod",
            "@context": context,
        });
        (document.as_object().unwrap().clone(), proof.as_object().unwrap().clone())
    }

    /// Data Integrity EdDSA Cryptosuites 1.0, B.3: keys, both hashes and the signature.
    #[test]
    fn the_vector_of_the_suite() {
        let pair =
            key_pair(&test_keys(&multikey("z3u2en7t5LR2WtQH5PfFqMqwVHBeXouLzo6haApm8XHqvjxq"))).unwrap();
        let key = public_key(&pair);
        assert_eq!(key.multibase(), "z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2");
        let (mut document, mut proof) = official();
        let signed = hashes(&document, &proof).unwrap();
        assert_eq!(
            signed[..32],
            hex::decode("66ab154f5c2890a140cb8388a22a160454f80575f6eae09e5a097cabe539a1db").unwrap()
        );
        assert_eq!(
            signed[32..],
            hex::decode("59b7cb6251b8991add1ce0bc83107e3db9dbbab5bd2c28f687db1a03abc92f19").unwrap()
        );
        let value =
            "z2HnFSSPPBzR36zdDgK8PbEHeXbR56YF24jwMpt3R1eHXQzJDMWS93FCzpvJpwTWd3GAVFuUfjoJdcnTMuVor51aX";
        assert_eq!(multibase(pair.sign(&signed).as_ref()), value);
        proof.insert("proofValue".to_owned(), value.into());
        document.insert("proof".to_owned(), Value::Object(proof));
        let mut document = Value::Object(document);
        check(&document, &key).unwrap();
        // The vector of the Candidate Recommendation, whose proof names the key differently.
        document["proof"]["verificationMethod"] =
            "https://vc.example/issuers/5678#z6MkrJVnaZkeFzdQyMZu1cgjg7k1pZZ6pvBQ7XJPt4swbTQ2".into();
        assert!(check(&document, &key).is_err());
        document["proof"]["proofValue"] =
            "z63t83Y53KfzJ5ZosfKTnqfMcKB2dmTrfjSaQjeNNjAD5srBowQfmWqeRb8rRjmeEuCBEsddF9LsVogtuTsijJKh4"
                .into();
        check(&document, &key).unwrap();
    }

    #[test]
    fn what_is_signed_is_verified_and_nothing_else() {
        let (installation_keys, pages) = (test_keys(&[3; 32]), PublicPages::default());
        let (document, _) = official();
        let at = "2026-11-02T09:00:00.123456Z".parse().unwrap();
        let signed = sign(document, &installation_keys, &pages, at).unwrap();
        let keys = published_keys(&installation_keys, &pages).unwrap();
        let kid = keys["keys"][0]["kid"].as_str().unwrap().to_owned();
        assert_eq!(signed["proof"]["verificationMethod"], format!("urn:zweck:key:{kid}"));
        assert_eq!(verify(&signed, &keys).unwrap().kid, kid);
        let why = |change: &dyn Fn(&mut Value)| {
            let mut changed = signed.clone();
            change(&mut changed);
            verify(&changed, &keys).unwrap_err().message
        };
        assert_eq!(why(&|it| _ = it.as_object_mut().unwrap().remove("proof")), "it has no proof");
        assert_eq!(why(&|it| it["proof"] = json!([it["proof"].clone()])), "it must have a single proof");
        let suite = "its proof is not of the suite `eddsa-jcs-2022`";
        assert_eq!(why(&|it| it["proof"]["cryptosuite"] = "eddsa-rdfc-2022".into()), suite);
        assert_eq!(why(&|it| it["proof"]["type"] = "Ed25519Signature2020".into()), suite);
        assert_eq!(
            why(&|it| it["proof"]["proofPurpose"] = "authentication".into()),
            "its proof has another purpose"
        );
        let unknown = "it is signed with a key that is not known";
        assert_eq!(why(&|it| it["proof"]["verificationMethod"] = "urn:zweck:key:other".into()), unknown);
        let changed = "it was changed after it was signed";
        assert_eq!(why(&|it| it["name"] = "Another".into()), changed);
        assert_eq!(why(&|it| it["more"] = 1.into()), changed);
        assert_eq!(why(&|it| it["proof"]["created"] = "2026-11-02T09:00:00.123457Z".into()), changed);
        assert_eq!(why(&|it| it["proof"]["@context"] = json!([])), changed);
        assert_eq!(
            why(&|it| it["proof"]["proofValue"] = format!("z{}", "1".repeat(100_000)).into()),
            changed
        );
        assert_eq!(why(&|it| _ = it["proof"].as_object_mut().unwrap().remove("proofValue")), changed);
        // The same key under another address is the same key; a key with a false name is rejected.
        let mut elsewhere = signed.clone();
        elsewhere["proof"]["verificationMethod"] = format!("https://crm.example{KEYS_PATH}#{kid}").into();
        assert_eq!(verify(&elsewhere, &keys).unwrap_err().message, changed);
        let other = published_keys(
            &InstallationKeys { signing: [4; 32].into(), ..installation_keys.clone() },
            &pages,
        )
        .unwrap();
        let mut lying = other.clone();
        lying["keys"][0]["kid"] = kid.into();
        assert_eq!(verify(&signed, &lying).unwrap_err().message, unknown);
        assert_eq!(verify(&signed, &json!({})).unwrap_err().message, "the keys are not a JSON Web Key Set");
    }
}
