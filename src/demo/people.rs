//! Invented people: names in several languages, reserved addresses and fictitious numbers. Room: demo.

use fake::{
    Fake,
    faker::{
        company::raw::CompanyName,
        job::raw::Title,
        name::raw::{FirstName, LastName},
    },
    locales::{DE_DE, EN, FR_FR, IT_IT, NL_NL, TR_TR},
    rand::{Rng, RngExt, SeedableRng, rngs::StdRng},
};

use crate::{
    domain::contacts::Values,
    registry::{CONTACT, Field},
};

/// Cities, each with one of its postal codes.
const CITIES: &[(&str, &str)] = &[
    ("Stuttgart", "70173"),
    ("Berlin", "10115"),
    ("Hamburg", "20095"),
    ("München", "80331"),
    ("Köln", "50667"),
    ("Leipzig", "04109"),
    ("Ulm", "89073"),
    ("Bremen", "28195"),
];
const STREETS: &[&str] =
    &["Hauptstraße", "Schulstraße", "Gartenweg", "Am Markt", "Lindenallee", "Bahnhofstraße", "Mühlgasse"];
const ABROAD: &[(&str, &str, &str, &str)] = &[
    ("London", "EC1A 1BB", "United Kingdom", "en"),
    ("Dublin", "D02 AF30", "Ireland", "en"),
    ("Paris", "75001", "France", "fr"),
    ("Torino", "10121", "Italy", "it"),
    ("Utrecht", "3511 AB", "Netherlands", "nl"),
    ("İzmir", "35210", "Türkiye", "tr"),
];

/// Generates the same people each time.
pub(super) struct People {
    random: StdRng,
    made: usize,
}

impl People {
    pub(super) fn new() -> Self {
        Self { random: StdRng::seed_from_u64(20_261_125), made: 0 }
    }

    /// True in `percent` of a hundred cases.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    /// A number from `from` up to, but not including, `to`.
    pub(super) fn between(&mut self, from: i64, to: i64) -> i64 {
        self.random.random_range(from..to)
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        of.get(self.random.random_range(0..of.len().max(1))).copied()
    }

    /// The values of one person.
    pub(super) fn next(&mut self) -> Values {
        self.made += 1;
        let number = self.made;
        let abroad = if self.chance(30) { self.pick(ABROAD) } else { None };
        let language = abroad.map_or("de", |(.., language)| language);
        let (given, family) = names(language, &mut self.random);
        let domain = self.pick(&["example.org", "example.com", "example.net"]).unwrap_or("example.org");
        let mut values: Vec<(&str, String)> = vec![
            ("email", format!("{}.{}{number}@{domain}", ascii(&given), ascii(&family))),
            ("language", language.to_owned()),
        ];
        let (city, code, country) = match abroad {
            Some((city, code, country, _)) => (city, code, country),
            None => {
                let (city, code) = self.pick(CITIES).unwrap_or(("Ulm", "89073"));
                (city, code, "Germany")
            }
        };
        let street = self.pick(STREETS).unwrap_or("Hauptstraße");
        values.push(("street", format!("{street} {}", self.between(1, 120))));
        values.extend([("city", city), ("postalCode", code), ("country", country)].map(owned));
        // Numbers that are given to nobody (Bundesnetzagentur, Ofcom).
        values.push((
            "phone",
            match language {
                "de" => format!("+49 30 23125 {:03}", number % 1_000),
                _ => format!("+44 1632 960{:03}", number % 1_000),
            },
        ));
        if self.chance(60) {
            let (year, month, day) = (self.between(1945, 2006), self.between(1, 13), self.between(1, 29));
            values.push(("birthDate", format!("{year}-{month:02}-{day:02}")));
        }
        if self.chance(35) {
            values.push(("company", CompanyName(DE_DE).fake_with_rng(&mut self.random)));
            values.push(("jobTitle", Title(EN).fake_with_rng(&mut self.random)));
        }
        if self.chance(10) {
            values.push(("notes", "Prefers to be called in the afternoon.".to_owned()));
        }
        values.extend([("givenName", given), ("familyName", family)]);
        let field = |name: &str| CONTACT.field(name);
        values
            .into_iter()
            .filter_map(|(name, value)| Some((field(name)?, value)))
            .collect::<Vec<(&'static Field, String)>>()
    }
}

fn owned((name, value): (&'static str, &str)) -> (&'static str, String) {
    (name, value.to_owned())
}

fn names<R: Rng>(language: &str, random: &mut R) -> (String, String) {
    match language {
        "en" => (FirstName(EN).fake_with_rng(random), LastName(EN).fake_with_rng(random)),
        "fr" => (FirstName(FR_FR).fake_with_rng(random), LastName(FR_FR).fake_with_rng(random)),
        "it" => (FirstName(IT_IT).fake_with_rng(random), LastName(IT_IT).fake_with_rng(random)),
        "nl" => (FirstName(NL_NL).fake_with_rng(random), LastName(NL_NL).fake_with_rng(random)),
        "tr" => (FirstName(TR_TR).fake_with_rng(random), LastName(TR_TR).fake_with_rng(random)),
        _ => (FirstName(DE_DE).fake_with_rng(random), LastName(DE_DE).fake_with_rng(random)),
    }
}

/// The letters of a name that are valid in an address.
fn ascii(name: &str) -> String {
    crate::base::fold::fold(name).chars().filter(char::is_ascii_alphanumeric).collect()
}
