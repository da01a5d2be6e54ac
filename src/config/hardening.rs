//! Settings with which a server for real data must not start. Room: config.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use super::{redacted::has_password, settings::Config};

impl Config {
    /// Errors in addresses that their types do not catch.
    pub(super) fn check_addresses(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for (index, origin) in self.server.cors_origins.iter().enumerate() {
            if !is_origin(origin) {
                let text = "must be an origin as browsers send it, e.g. https://crm.example: https (http for this machine \
                            alone), no path, lower case, no `*`";
                errors.push(format!("`server.cors_origins.{index}` {text}"));
            }
        }
        if self.management.listen.is_some_and(|listen| listen == self.server.listen && listen.port() != 0) {
            errors.push("`management.listen` must not be `server.listen`".to_owned());
        }
        errors
    }

    /// Why a server for real data refuses to start with these settings; each message names the key and the remedy.
    /// Not applied to the demo, which holds no real data.
    pub fn insecure_settings(&self) -> Vec<String> {
        let mut insecure_settings = Vec::new();
        if self.secrets.master_key.as_ref().is_some_and(|key| is_guessable(key.expose_secret())) {
            insecure_settings
                .push("`secrets.master_key` can be guessed; make one with `zweck keys generate`".to_owned());
        }
        if !is_loopback(self.server.listen) && !self.server.behind_tls_proxy {
            insecure_settings.push(format!(
                "`server.listen` is reached by other machines ({}) and answers without TLS: tokens and personal data would \
                 travel in clear; put a proxy that ends TLS before it and say so by `server.behind_tls_proxy = true`, or \
                 listen on 127.0.0.1",
                self.server.listen
            ));
        }
        for (name, file) in [
            ("secrets.master_key_file", &self.secrets.master_key_file),
            ("secrets.previous_master_key_file", &self.secrets.previous_master_key_file),
        ] {
            if let Some(file) = file
                && is_readable_by_all(file)
            {
                insecure_settings.push(readable(name, file));
            }
        }
        if let (true, Some(url)) = (self.pages.enabled, &self.pages.public_url)
            && url.starts_with("https://")
            && is_loopback(self.server.listen)
            && !self.server.behind_tls_proxy
        {
            insecure_settings.push(
                "`pages.public_url` is https and `server.listen` answers this machine alone without TLS: a proxy must be before it, and all \
                 who come by it would count as one client; say so by `server.behind_tls_proxy = true`"
                    .to_owned(),
            );
        }
        let urls = [
            ("database.url", Some(&self.database.url)),
            ("database.reader_url", self.database.reader_url.as_ref()),
            ("mail.url", self.mail.url.as_ref()),
        ];
        let in_url = urls
            .iter()
            .any(|(key, url)| self.sources.in_file(key) && url.is_some_and(|url| has_password(url)));
        let secrets =
            ["secrets.master_key", "secrets.previous_master_key", "secrets.actor_key", "secrets.token"];
        if let Some(file) = &self.sources.file
            && (in_url || secrets.iter().any(|key| self.sources.in_file(key)))
            && is_readable_by_all(file)
        {
            insecure_settings.push(readable("--config", file));
        }
        insecure_settings
    }
}

fn readable(key: &str, file: &Path) -> String {
    format!("`{key}`: {0} holds a secret and everybody can read it; run: chmod o= {0}", file.display())
}

impl Config {
    /// Settings that should be fixed but do not prevent a start.
    pub fn warnings(&self) -> Vec<String> {
        let database = self.database.url.strip_prefix("sqlite://").map(Path::new);
        let open = database.filter(|file| is_readable_by_all(file));
        open.map(|file| {
            format!(
                "the database is readable by everyone; run: chmod go= {0} {0}-wal {0}-shm",
                file.display()
            )
        })
        .into_iter()
        .collect()
    }
}

/// Whether only this machine can reach the address.
fn is_loopback(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(ip.is_loopback(), |ip| ip.is_loopback()),
        IpAddr::V4(ip) => ip.is_loopback(),
    }
}

/// Whether a key was clearly not drawn at random: repeated or counting bytes, text, or a key from the documentation.
/// A random key has about 30 different bytes; fewer than 16 practically never occur.
fn is_guessable(key: &[u8; 32]) -> bool {
    let different: BTreeSet<u8> = key.iter().copied().collect();
    let steps: BTreeSet<u8> =
        key.windows(2).filter_map(|pair| Some(pair.last()?.wrapping_sub(*pair.first()?))).collect();
    different.len() < 16 || steps.len() < 8 || key.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ')
}

/// Whether `text` is an origin as browsers send it (RFC 6454, 6.2), for a page served over TLS or from this machine.
fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(rest, |(host, _)| host);
    let port = rest.strip_prefix(host).and_then(|port| port.strip_prefix(':'));
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.[]:".contains(c);
    let local = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
    // Browsers omit the default port of the scheme.
    let ports = port.is_none_or(|port| {
        port.parse::<u16>().is_ok() && port != if scheme == "https" { "443" } else { "80" }
    });
    !host.is_empty() && host.chars().all(plain) && ports && (scheme == "https" || scheme == "http" && local)
}

#[cfg(unix)]
fn is_readable_by_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_all(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    fn safe() -> Config {
        let mut config = Config::default();
        let key: [u8; 32] =
            std::array::from_fn(|index| (index as u8).wrapping_mul(97) ^ (index as u8).pow(1).rotate_left(3));
        config.secrets.master_key = Some(key.into());
        config
    }

    #[test]
    fn defaults_are_safe() {
        assert_eq!(safe().insecure_settings(), Vec::<String>::new());
    }

    #[test]
    fn well_known_keys_are_refused() {
        let counted = std::array::from_fn(|index| index as u8);
        let down = std::array::from_fn(|index| 255 - index as u8);
        let twice = *b"\x8f\x01\xa9\x33\xd0\x07\x5e\xc2\x8f\x01\xa9\x33\xd0\x07\x5e\xc2\x8f\x01\xa9\x33\xd0\x07\x5e\xc2\x8f\x01\xa9\x33\xd0\x07\x5e\xc2";
        let text = *b"correct horse battery staple 123";
        for key in [[0; 32], [7; 32], [0xff; 32], counted, down, twice, text] {
            let mut config = safe();
            config.secrets.master_key = Some(key.into());
            let insecure_settings = config.insecure_settings();
            assert!(
                insecure_settings.len() == 1 && insecure_settings[0].contains("secrets.master_key"),
                "{key:?}: {insecure_settings:?}"
            );
        }
        for _ in 0..1_000 {
            assert!(!is_guessable(&rand::random()));
        }
    }

    #[test]
    fn other_machines_are_let_in_only_behind_tls() {
        for (listen, safely) in [
            ("127.0.0.1:8080", true),
            ("127.9.9.9:1", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]:8080", true),
            ("0.0.0.0:8080", false),
            ("[::]:8080", false),
            ("10.1.2.3:8080", false),
            ("[::ffff:10.1.2.3]:8080", false),
        ] {
            let mut config = safe();
            config.server.listen = listen.parse().unwrap();
            assert_eq!(config.insecure_settings().is_empty(), safely, "{listen}");
            config.server.behind_tls_proxy = true;
            assert!(config.insecure_settings().is_empty(), "{listen}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn files_with_secrets_are_for_their_owner() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let (key, file) = (directory.path().join("key"), directory.path().join("zweck.toml"));
        std::fs::write(
            &key,
            format!("{}\n", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        )
        .unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let load = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Config::from_sources(Some(&file), Vec::new(), &Flags::default(), |_| Vec::new()).unwrap()
        };
        let by_file = format!("[secrets]\nmaster_key_file = \"{}\"\n", key.display());
        let cases = [
            (by_file.as_str(), "secrets.master_key_file", &key),
            ("[secrets]\ntoken = \"zwk_x\"\n", "--config", &file),
            ("[database]\nurl = \"postgres://u:p@h/d\"\n", "--config", &file),
            ("[database]\nurl = \"postgres://h/d?password=p\"\n", "--config", &file),
            ("[mail]\nurl = \"smtp://u:p@h:25\"\nfrom = \"a@b.example\"\n", "--config", &file),
        ];
        for (text, named, secret) in cases {
            let config = load(text);
            mode(&key, 0o640);
            mode(&file, 0o640);
            assert_eq!(config.insecure_settings(), Vec::<String>::new(), "{text}");
            mode(secret, 0o644);
            let insecure_settings = config.insecure_settings();
            assert!(
                insecure_settings.len() == 1 && insecure_settings[0].contains(named),
                "{text}: {insecure_settings:?}"
            );
        }
        // A file without a secret may be readable by others.
        mode(&file, 0o644);
        assert!(load("[limits]\nbody_bytes = 2048\n").insecure_settings().is_empty());
        for text in [
            "[mail]\nurl = \"smtp://127.0.0.1:25\"\nfrom = \"a@b.example\"\n",
            "[database]\nurl = \"postgres://zweck@h/d\"\n",
        ] {
            assert!(load(text).insecure_settings().is_empty(), "{text}");
        }
    }

    #[test]
    fn origins_are_exact() {
        for origin in [
            "https://crm.example",
            "https://crm.example:8443",
            "http://localhost:5173",
            "http://127.0.0.1",
            "http://[::1]:3000",
            "https://[2001:db8::1]",
        ] {
            assert!(is_origin(origin), "{origin}");
        }
        for origin in [
            "*",
            "null",
            "",
            "https://*",
            "https://*.example",
            "https://crm.example/",
            "https://crm.example/x",
            "crm.example",
            "https://CRM.example",
            "http://crm.example",
            "https://u@crm.example",
            "https://crm.example:443",
            "https://crm.example:x",
            "https://",
            "ftp://crm.example",
            "https://crm.example https://b.example",
        ] {
            assert!(!is_origin(origin), "{origin}");
        }
    }
}
