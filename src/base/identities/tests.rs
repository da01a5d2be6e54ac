//! Data-driven tests: spellings and their keys. Room: base/identities.

use proptest::prelude::*;

use super::*;

/// Fields of lines, with `\u{..}`, `\n`, `\t` and `\\` unescaped.
pub fn lines(data: &str) -> Vec<Vec<String>> {
    let plain = |field: &str| {
        let mut out = String::new();
        let mut rest = field;
        while let Some(at) = rest.find('\\') {
            out.push_str(&rest[..at]);
            let escape = &rest[at + 1..];
            let length = if escape.starts_with("u{") {
                let end = escape.find('}').unwrap();
                let code = u32::from_str_radix(&escape[2..end], 16).unwrap();
                out.push(char::from_u32(code).unwrap());
                end + 1
            } else {
                out.push(match escape.chars().next().unwrap() {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    c => c,
                });
                1
            };
            rest = &escape[length..];
        }
        out + rest
    };
    data.lines().map(|line| line.split('\t').map(plain).collect()).collect()
}

fn reader(region: &str) -> Reader {
    Reader::new(region.parse().ok())
}

fn keys(reading: &Reading) -> Vec<&str> {
    reading.identities.iter().map(Identity::key).collect()
}

#[test]
fn mailboxes_are_the_same_however_they_are_written() {
    let reader = Reader::default();
    let all = lines(include_str!("../../../tests/data/identities/mailboxes.tsv"));
    assert!(all.len() > 150);
    for line in all {
        let [text, expected] = line.as_slice() else { panic!("{line:?}") };
        let reading = reader.emails(text);
        let expected: Vec<&str> = if expected == "-" { Vec::new() } else { split_keys(expected) };
        assert_eq!(keys(&reading), expected, "{text:?}");
        assert_eq!(reading.unread, expected.is_empty(), "{text:?}");
        match expected.first() {
            Some(first) => assert_eq!(reader.email_key(text), *first),
            None => assert!(reader.email_key(text).starts_with('?')),
        }
    }
}

/// Splits keys at blanks outside quotes.
fn split_keys(keys: &str) -> Vec<&str> {
    if keys.starts_with('"') { vec![keys] } else { keys.split(' ').collect() }
}

/// The expected keys are those of Python's `phonenumbers` 9.0.33 for the intended number, by the numbering plans of
/// Germany, Austria and Switzerland.
#[test]
fn numbers_are_the_same_however_they_are_written() {
    let all = lines(include_str!("../../../tests/data/identities/numbers.tsv"));
    assert!(all.len() > 350);
    for line in all {
        let [region, text, expected] = line.as_slice() else { panic!("{line:?}") };
        let reading = reader(region).numbers(text);
        assert_eq!(keys(&reading), expected.split(' ').collect::<Vec<_>>(), "{region} {text:?}");
        assert!(!reading.unread, "{region} {text:?}");
        assert_eq!(reader(region).phone_key(text), reading.identities[0].key());
    }
}

/// Numbers of every region as dialled in it, compared with Python's `phonenumbers` 9.0.33.
#[test]
fn numbers_of_all_regions_are_as_libphonenumber_has_them() {
    let all = lines(include_str!("../../../tests/data/identities/regions.tsv"));
    assert!(all.len() > 400);
    for line in all {
        let [region, text, expected] = line.as_slice() else { panic!("{line:?}") };
        for (region, text) in [(region.as_str(), text), (region, expected), ("DE", expected), ("", expected)]
        {
            assert_eq!(reader(region).phone_key(text), *expected, "{region} {text}");
        }
    }
}

/// Number keys depend on the crate's data: with other data an objection would no longer be found. Whoever upgrades
/// the crate must also raise the key version.
#[test]
fn the_data_of_number_plans_is_that_of_this_version() {
    assert_eq!(plans::digest(), "f4c0713f8df2308b45b62b80183e45255a5177d02c96d1be7f4595bbe958b416");
    assert!(plans::all().count() > 240);
    assert!(plans::all().all(|plan| plan.shortest() >= SHARED_DIGITS));
}

#[test]
fn letter_boxes_are_the_same_however_they_are_written() {
    let all = lines(include_str!("../../../tests/data/identities/letters.tsv"));
    assert!(all.len() > 50);
    for line in all {
        // The fourth field is the key by the second rules, if it differs.
        let [region, parts, expected, second @ ..] = line.as_slice() else { panic!("{line:?}") };
        let parts: Vec<Option<&str>> = parts.split('|').map(Some).collect();
        let parts: [Option<&str>; 4] = parts.try_into().unwrap();
        let key = reader(region).postal_key(parts);
        assert_eq!(key.as_deref().unwrap_or("-"), expected, "{region} {parts:?}");
        let frozen =
            Reader::from_version(&reader(region).version().replacen('3', "2", 1)).unwrap().postal_key(parts);
        assert_eq!(
            frozen.as_deref().unwrap_or("-"),
            second.first().unwrap_or(expected),
            "{region} {parts:?}"
        );
        // A town without a street has a key but is not a letter box.
        let [street, code, city, _] = parts;
        let there = |part: Option<&str>| part.is_some_and(|part| part.chars().any(char::is_alphanumeric));
        let delivered = key.clone().filter(|_| there(street) && (there(code) || there(city)));
        assert_eq!(
            reader(region).postal(parts, None).map(|one| one.key().to_owned()),
            delivered,
            "{parts:?}"
        );
    }
    let long = "漢".repeat(400);
    let key = |city: &str| Reader::default().postal_key([Some(&long), None, Some(city), Some("JP")]).unwrap();
    assert!(key("Tokyo").starts_with("sha256:") && key("Tokyo").len() < 100);
    assert_eq!(key("Tokyo"), key("TOKYO"));
    assert_ne!(key("Tokyo"), key("Kyoto"));
}

#[test]
fn a_family_has_one_letter_box_with_the_household() {
    let of = |name| Reader::default().postal([Some("Weg 1"), Some("70173"), None, None], name).unwrap();
    assert_eq!(of(Some("Müller-Lüdenscheidt")).name(), Some("mullerludenscheidt"));
    assert_eq!(of(Some(" ")).name(), None);
    assert_eq!(of(Some("Köhler")).key(), of(None).key());
    assert_eq!(of(Some("Köhler")).lock(), of(None).lock());
    assert_ne!(of(Some("Köhler")), of(None));
}

#[test]
fn where_no_region_is_set_both_readings_are_asked() {
    let reader = reader("");
    let one = |text: &str| reader.numbers(text).identities.into_iter().next().unwrap();
    for (national, abroad) in [
        ("0171 3920012", "+49 171 3920012"),
        ("171 3920012", "+49 (0) 171 3920012"),
        ("49 171 3920012", "0049 171 3920012"),
        ("044 668 18 00", "+41 44 668 18 00"),
        ("01/512 23 45", "+43 1 5122345"),
        ("06 6982 1234", "+39 06 6982 1234"),
    ] {
        let (national, abroad) = (one(national), one(abroad));
        assert!(national.keys().iter().any(|key| key == abroad.key()), "{national:?}");
        assert!(abroad.keys().iter().any(|key| key == national.key()), "{abroad:?}");
        assert_eq!(national.lock(), abroad.lock());
        assert!(!national.key().starts_with('+') && abroad.key().starts_with('+'));
    }
    let spellings = ["0171 3920012", "171 3920012", "49 171 3920012", "+49 171 3920012"].map(one);
    for a in &spellings {
        for b in &spellings {
            assert!(a.keys().iter().any(|key| key == b.key()), "{} {}", a.key(), b.key());
        }
    }
}

#[test]
fn what_could_not_be_read_is_said() {
    let reader = Reader::default();
    for text in ["no number", "privat", "-", "0", "000000", "12", "1".repeat(40).as_str(), "N. N."] {
        let reading = reader.numbers(text);
        assert!(reading.unread && reading.identities.is_empty(), "{text} {:?}", keys(&reading));
        assert!(reader.phone_key(text).starts_with('?'));
    }
    assert_eq!((reader.numbers(""), reader.emails(" ")), (Reading::default(), Reading::default()));
    assert_ne!(reader.phone_key("unknown"), reader.phone_key("none"));
    // Partly readable.
    for (text, key) in [
        ("030/231250/51", "+493023125051"),
        ("030 231250, 51", "+4930231250"),
        ("030 231250 / 231251", "+4930231250"),
        ("0171 3920012 (9-17 Uhr)", "+491713920012"),
    ] {
        let reading = reader.numbers(text);
        assert_eq!(keys(&reading)[0], key, "{text}");
        assert_eq!(reading.unread, !text.ends_with("/51"), "{text}");
    }
    let reading = reader.emails("bob@example.com, eva@@example.com");
    assert!(reading.unread && keys(&reading) == ["bob@example.com"]);
    assert!(reader.emails("bob@example").unread);
}

/// Numbers outside every plan, as in tests and films: each still has one key.
#[test]
fn numbers_that_no_plan_knows_keep_a_key() {
    let reader = Reader::default();
    let key = |text: &str| reader.phone_key(text);
    for same in [["0999 123", "+49 999 123", "+49 (0)999/123"], ["0199 12", "0049 199 12", "+49 (0) 199-12"]]
    {
        assert!(same.iter().all(|text| key(text) == key(same[0])), "{:?}", same.map(key));
    }
    assert_eq!(key("+49 30 9999 123"), "+49309999123");
    assert_eq!(key("+999 123456"), "+999123456");
    assert_ne!(key("0999 123"), key("0999 124"));
}

#[test]
fn versions_and_regions_are_told() {
    assert_eq!(Reader::default().version(), "3:DE");
    assert_eq!(reader("").version(), "3:");
    assert_eq!(reader("at").version(), "3:AT");
    assert_eq!("XX".parse::<Region>(), Err(UnknownRegion));
    assert_eq!(serde_json::to_string(&Region::DE).unwrap(), "\"DE\"");
    assert_eq!(serde_json::from_str::<Region>("\"CH\"").unwrap().to_string(), "CH");
    assert!(serde_json::from_str::<Region>("\"\"").is_err());
}

#[test]
fn what_is_shown_for_debugging_holds_no_key() {
    let reading = Reader::default().emails("bob@example.com");
    assert!(!format!("{reading:?}").contains("bob"));
}

/// The fast path gives the same result as the full scan.
#[test]
fn the_short_way_is_the_long_one() {
    for text in
        ["bob@example.com", "b.o_b-1+x@Sub.Example.CO.UK", "+a@gmail.com", "BOB@x-y.de", "..a@x.de", "-@x.de"]
    {
        let short = mailboxes::plain(text).unwrap();
        let (long, unread) = mailboxes::read(&format!("<{text}>"));
        assert_eq!((long.len(), unread), (1, false), "{text}");
        assert_eq!((short.key(), short.text()), (long[0].key(), long[0].text()));
    }
}

/// Number of cases per property.
const CASES: u32 = 600;

fn texts() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "bob",
        "@",
        "example.com",
        "\"",
        "<",
        ">",
        ",",
        " ",
        "'",
        "mailto:",
        "(",
        ")",
        ".",
        "/",
        "|",
        "+",
        "%40",
        "ß",
        "ς",
        "é",
        "\\",
        "(at)",
        "&lt;",
        "?to=",
        "0",
        "171",
        "49",
        "(0)",
        "-",
        ";ext=",
        ";phone-context=+49",
        "\u{200b}",
        "。",
        "\n",
        "ext",
        "[",
        "]",
        "x",
        "00",
        "1234567",
        "oder",
        "#",
        "’",
        "xn--",
        "gmail.com",
        ":::",
        "\u{308}",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(parts, 0..12).prop_map(|parts| parts.concat())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_key_reads_as_itself(text in texts(), region in prop::sample::select(vec!["DE", "AT", "CH", "IT", "US", ""])) {
        let reader = reader(region);
        for identity in reader.emails(&text).identities {
            let again = reader.emails(identity.key());
            prop_assert_eq!(keys(&again), vec![identity.key()]);
        }
        for identity in reader.numbers(&text).identities {
            let again = reader.numbers(identity.key());
            prop_assert_eq!(keys(&again), vec![identity.key()]);
            prop_assert_eq!(identity.keys().first().map(String::as_str), Some(identity.key()));
        }
        let key = reader.email_key(&text);
        prop_assert!(!key.is_empty());
        prop_assert!(reader.postal([Some(&text), Some(&text), Some(&text), Some(&text)], Some(&text)).is_none_or(|one| !one.key().is_empty()));
    }

    #[test]
    fn all_keys_of_an_identity_have_one_lock(digits in "(0|00|\\+)?[1-9][0-9]{6,12}", region in prop::sample::select(vec!["DE", "AT", "US", ""])) {
        let reader = reader(region);
        for identity in reader.numbers(&digits).identities {
            // No assignable number is that short.
            let short = |key: &String| key.trim_start_matches(['+', '0']).len() < SHARED_DIGITS;
            for key in identity.keys().iter().filter(|_| !identity.keys().iter().any(short)) {
                // A key without its zeros may read as another number; identities that share no key need no common
                // lock.
                let same = |other: &Identity| other.keys().iter().any(|key| identity.keys().contains(key));
                for other in reader.numbers(key).identities.into_iter().filter(same) {
                    prop_assert_eq!(identity.lock(), other.lock());
                }
            }
        }
    }

    #[test]
    fn version_1_is_as_it_was(text in texts()) {
        prop_assert_eq!(first::email_key(&text), crate::base::fold::email_key(&text));
        prop_assert_eq!(first::phone_key(&text), crate::base::fold::phone_key(&text));
        prop_assert_eq!(first::address([Some(&text), None, Some("x"), None]), crate::base::fold::address([Some(&text), None, Some("x"), None]));
        for identity in Reader::default().emails(&text).identities {
            let keys = spellings::keys(&identity, &[&text], (Some("Ada"), Some("Muster")));
            prop_assert!(keys.contains(&crate::base::fold::email_key(&text)));
        }
        for identity in Reader::default().numbers(&text).identities {
            let keys = spellings::keys(&identity, &[&text], (None, None));
            prop_assert!(keys.contains(&crate::base::fold::phone_key(&text)) && keys.contains(&identity.key().to_owned()));
        }
    }
}
