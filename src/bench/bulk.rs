//! Rows in bulk, made by the database itself: for measures and plans at sizes that the audited door takes hours for. Room: bench.
//!
//! The same rows each time. Statements alone, without the rest of the crate: the tests of query plans use them too.

use sea_orm::DbBackend;

/// Parts of names. Plain ASCII: the database folds them by `lower`.
const GIVEN: [&str; 16] = [
    "Anna", "Bernd", "Clara", "David", "Emma", "Felix", "Greta", "Hanno", "Ida", "Jonas", "Klara", "Lukas",
    "Marta", "Nils", "Olga", "Paul",
];
const FAMILY: [&str; 16] = [
    "Adler", "Becker", "Claasen", "Dietrich", "Ebert", "Fischer", "Graf", "Hartmann", "Ihde", "Jansen",
    "Keller", "Lorenz", "Meissner", "Neumann", "Otto", "Peters",
];
const CITIES: [(&str, &str); 6] = [
    ("Stuttgart", "Germany"),
    ("Berlin", "Germany"),
    ("Hamburg", "Germany"),
    ("Paris", "France"),
    ("Utrecht", "Netherlands"),
    ("Torino", "Italy"),
];
const JOBS: [&str; 5] = ["Purchasing", "Management", "Sales", "Accounts", "IT"];
/// When all of it began, in seconds since 1970: 5 January 2026.
const FIRST_DAY: i64 = 1_767_600_000;
const DAY_SECONDS: i64 = 86_400;

/// What an id is of: ids of different things never meet.
#[derive(Clone, Copy, Debug)]
pub struct Of(pub u16);

impl Of {
    /// A contact.
    pub const CONTACT: Self = Self(1);
    /// A consent; those of the contact with the number n have the numbers from 4 n on.
    pub const CONSENT: Self = Self(2);
}

/// Writes statements for one database.
#[derive(Clone, Copy, Debug)]
pub struct Bulk(pub DbBackend);

impl Bulk {
    fn is_postgres(self) -> bool {
        self.0 == DbBackend::Postgres
    }

    /// The numbers `from` to `to`, as `s.n`.
    pub fn numbers(self, from: u64, to: u64) -> String {
        if self.is_postgres() {
            return format!("generate_series({from}::bigint, {to}::bigint) AS s(n)");
        }
        format!(
            "(WITH RECURSIVE up(n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM up WHERE n < {to}) \
             SELECT n FROM up) AS s"
        )
    }

    /// The id of the thing with the number `n`: a UUIDv7, in the order of the numbers.
    pub fn id(self, of: Of, n: &str) -> String {
        let tail = format!("70008{:03x}000000000000", of.0);
        let time = format!("(({n}) + {})", 0x0199_0000_0000_u64);
        if self.is_postgres() {
            format!("CAST(lpad(to_hex({time}), 12, '0') || '{tail}' AS uuid)")
        } else {
            format!("unhex(printf('%012x', {time}) || '{tail}')")
        }
    }

    /// The same as text.
    pub fn uuid(of: Of, n: u64) -> String {
        let time = format!("{:012x}", n + 0x0199_0000_0000);
        let (high, low) = time.split_at(8);
        format!("{high}-{low}-7000-8{:03x}-000000000000", of.0)
    }

    /// The instant so many seconds after all of it began.
    pub fn at(self, seconds: &str) -> String {
        if self.is_postgres() {
            format!("to_timestamp({FIRST_DAY} + ({seconds}))")
        } else {
            // As the application writes them: text is compared as text.
            format!("strftime('%Y-%m-%dT%H:%M:%S+00:00', {FIRST_DAY} + ({seconds}), 'unixepoch')")
        }
    }

    /// The day so many days after all of it began.
    pub fn day(self, days: i64) -> String {
        self.at(&(days * DAY_SECONDS).to_string())
    }

    /// The contacts with the numbers `from` to `to`.
    pub fn contacts(self, from: u64, to: u64) -> String {
        let city = pick(&CITIES.map(|(city, _)| city), "n / 3");
        let country = pick(&CITIES.map(|(_, country)| country), "n / 3");
        let person = format!(
            "SELECT n, {given} AS given, {family} || ' ' || CAST((n / 16) % 200 AS text) AS family, \
             {given} || '.' || {family} || '.' || CAST(n AS text) || '@example.org' AS email, \
             '+49 30 ' || CAST(20000000 + n AS text) AS phone, 'Works ' || CAST(n % 5000 AS text) AS company, \
             {job} AS job, 'Main Road ' || CAST(n % 200 + 1 AS text) AS street, CAST(10000 + n % 8000 AS text) AS code, \
             {city} AS city, {country} AS country FROM {numbers}",
            given = pick(&GIVEN, "n"),
            family = pick(&FAMILY, "n / 7"),
            job = pick(&JOBS, "n"),
            numbers = self.numbers(from, to),
        );
        format!(
            "INSERT INTO contact (id, given_name, family_name, email, phone, company, job_title, street, postal_code, city, \
             country, language, state, created_at, updated_at, version, given_name_folded, family_name_folded, \
             email_folded, phone_folded, company_folded, job_title_folded, street_folded, postal_code_folded, city_folded, \
             country_folded, language_folded, postal_key, family_name_key, email_key, phone_key, key_version) \
             SELECT {id}, given, family, email, phone, company, job, street, code, city, country, 'en', 'ACTIVE', {at}, {at}, 1, \
             lower(given), lower(family), lower(email), lower(phone), lower(company), lower(job), lower(street), lower(code), \
             lower(city), lower(country), 'en', lower(street || ', ' || code || ', ' || city), lower(family), lower(email), '+49' || substr(phone, 5), '2:DE' \
             FROM ({person}) AS p",
            id = self.id(Of::CONTACT, "n"),
            at = self.at("n"),
        )
    }

    /// Three consents of each of these contacts for `purpose`: 70 of a hundred grant, the others in equal parts not any more,
    /// not yet, and no longer.
    pub fn consents(self, from: u64, to: u64, purpose: &str) -> String {
        let given = self.day(-30);
        format!(
            "INSERT INTO consent (id, contact_id, purpose_code, channel, status, bound_address, declared_at, granted_at, \
             withdrawn_at, expires_at, source, created_at, updated_at) \
             SELECT {id}, c.id, '{purpose}', w.channel, \
             CASE WHEN w.fate < 70 THEN 'GRANTED' WHEN w.fate < 80 THEN 'WITHDRAWN' WHEN w.fate < 90 THEN 'PENDING' \
             ELSE 'EXPIRED' END, \
             CASE WHEN w.channel = 'EMAIL' AND (w.fate < 80 OR w.fate >= 90) THEN c.email_key END, {given}, \
             CASE WHEN w.fate < 80 OR w.fate >= 90 THEN {given} END, \
             CASE WHEN w.fate >= 70 AND w.fate < 80 THEN {withdrawn} END, CASE WHEN w.fate >= 90 THEN {expired} END, \
             'trade fair', {began}, {began} \
             FROM (SELECT n, n * 37 % 100 AS fate, k.step, k.channel FROM {numbers} CROSS JOIN \
             (SELECT 0 AS step, 'EMAIL' AS channel UNION ALL SELECT 1, 'PHONE' UNION ALL SELECT 2, 'POST') AS k) AS w \
             JOIN contact c ON c.id = {contact} ORDER BY w.n, w.step",
            id = self.id(Of::CONSENT, "w.n * 4 + w.step"),
            contact = self.id(Of::CONTACT, "w.n"),
            withdrawn = self.day(-10),
            expired = self.day(-20),
            began = self.day(0),
            numbers = self.numbers(from, to),
        )
    }
}

/// One of `words`, by the number `n`.
pub fn pick(words: &[&str], n: &str) -> String {
    let cases: Vec<String> =
        words.iter().enumerate().map(|(index, word)| format!("WHEN {index} THEN '{word}'")).collect();
    format!("CASE ({n}) % {} {} END", words.len(), cases.join(" "))
}
