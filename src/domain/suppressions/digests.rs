//! Keyed digests of addresses, under which the list stores them. Room: domain/suppressions.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;
use sea_orm::{ConnectionTrait, TryGetable};

use super::statements::SqlText;
use crate::{
    base::{
        error::Error,
        identities::{Identity, Kind, Reader},
    },
    crypto::installation_keys::InstallationKeys,
    domain::contacts::Reachable,
};

/// HMAC-SHA-256 (RFC 2104) of kind and key: without the key of the list nobody can probe for addresses.
fn digest(keys: &InstallationKeys, kind: Kind, key: &str) -> String {
    let kind = match kind {
        Kind::Mailbox => "EMAIL",
        Kind::Number => "PHONE",
        Kind::Postal => "POST",
    };
    let mut context =
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, keys.suppression.expose_secret()));
    context.update(kind.as_bytes());
    context.update(&[0]);
    context.update(key.as_bytes());
    URL_SAFE_NO_PAD.encode(context.sign())
}

/// The texts that digests of an identity are made of; for a postal address, with the name of the household.
fn digest_texts(identity: &Identity) -> Vec<String> {
    match identity.kind() {
        Kind::Postal => {
            let key = identity.key();
            // An entry for the whole household covers everybody there.
            let with_name = identity.name().map(|name| format!("{key}\0{name}"));
            with_name.into_iter().chain([format!("{key}\0")]).collect()
        }
        _ => identity.keys().to_vec(),
    }
}

/// The digest under which an identity is added to the list.
pub(super) fn primary_digest(keys: &InstallationKeys, identity: &Identity) -> String {
    let texts = digest_texts(identity);
    digest(keys, identity.kind(), texts.first().map_or("", String::as_str))
}

/// Every digest under which an identity may be listed, by the reader versions that made entries.
pub(super) fn digests(
    keys: &InstallationKeys,
    reader: &Reader,
    versions: &[String],
    reachable: &Reachable,
    names: (Option<&str>, Option<&str>),
) -> Vec<String> {
    let identity = reachable.identity();
    let mut all = digest_texts(identity);
    for version in versions.iter().filter(|version| **version != reader.version()) {
        if version == Reader::FIRST {
            all.extend(reachable.first_reader_keys(names));
        } else if let Some(former) = Reader::from_version(version) {
            all.extend(reachable.identities_read_by(&former).iter().flat_map(digest_texts));
        }
    }
    all.sort_unstable();
    all.dedup();
    all.iter().map(|text| digest(keys, identity.kind(), text)).collect()
}

/// The reader versions that made entries; each costs one index look-up.
pub(super) async fn reader_versions<C: ConnectionTrait>(connection: &C) -> Result<Vec<String>, Error> {
    let mut sql = SqlText::new(connection.get_database_backend());
    sql.push(
        "WITH RECURSIVE v (x) AS (SELECT MIN(key_version) FROM suppression UNION ALL \
               SELECT (SELECT MIN(s.key_version) FROM suppression s WHERE s.key_version > v.x) FROM v WHERE v.x IS NOT NULL) \
               SELECT x FROM v WHERE x IS NOT NULL",
    );
    let rows = sql.query(connection).await?;
    let versions: Vec<String> = rows
        .iter()
        .map(|row| String::try_get_by(row, 0))
        .collect::<Result<_, _>>()
        .map_err(sea_orm::DbErr::from)?;
    // An entry that cannot be searched for may be an opt-out.
    if versions.iter().any(|version| version != Reader::FIRST && Reader::from_version(version).is_none()) {
        return Err(Error::internal(
            "the suppression list has entries of a version that this program does not support",
        ));
    }
    Ok(versions)
}
