//! Number plans: what a row of digits means in a region, by the rules and the data of libphonenumber. Room: base/identities.
//!
//! The data is that of the crate `phonenumber`; the rules are applied here, since its own accept a number that is longer than
//! its pattern and take a national prefix off twice.

use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
};

use phonenumber::{
    country::Id,
    metadata::{DATABASE, Descriptor, Metadata},
};
use regex::{Regex, RegexBuilder};

/// Digits that a national number has at least and at most, as libphonenumber reads them.
const NATIONAL_DIGITS: std::ops::RangeInclusive<usize> = 2..=17;
/// Digits of the longest country code.
const MAX_COUNTRY_CODE_DIGITS: usize = 3;

/// A number: country code and national (significant) number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// The country code, e.g. 49.
    pub code: u16,
    /// Digits without the trunk prefix; leading zeros that belong to the number stay.
    pub national: String,
}

impl Number {
    /// In the form of ITU-T E.164.
    pub fn e164(&self) -> String {
        format!("+{}{}", self.code, self.national)
    }

    /// Whether such a number can be assigned.
    pub fn is_valid(&self) -> bool {
        self.assigned().is_some()
    }

    /// Whether it is of a service (free, shared cost, premium, company) that is dialled by letters too.
    pub fn is_service(&self) -> bool {
        self.assigned().is_some_and(|service| service)
    }

    /// Of a number that can be assigned, whether it is of a service.
    fn assigned(&self) -> Option<bool> {
        let plans = of_code(self.code);
        if let [plan] = plans {
            return plan.kind(&self.national);
        }
        // As libphonenumber finds the region of a number; it is valid where it is of that region.
        plans.iter().find_map(|plan| match plan.leading() {
            Some(leading) => leading.is_match(&self.national).then(|| plan.kind(&self.national)),
            None => plan.kind(&self.national).map(Some),
        })?
    }
}

/// The numbers of a region.
pub struct Plan {
    meta: &'static Metadata,
    rules: OnceLock<Rules>,
}

/// Patterns, compiled when they are first asked: most installations see numbers of a few regions.
#[derive(Debug)]
struct Rules {
    general: Option<Regex>,
    /// Lengths, pattern and whether it is of a service: those that most numbers are of come first.
    kinds: Vec<(u32, Regex, bool)>,
    lengths: u32,
    local: u32,
    international: Option<Regex>,
    trunk: Option<Regex>,
    transform: Option<String>,
    leading: Option<Regex>,
}

/// What a length of a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Possible,
    /// Of a number that can be dialled within its area alone.
    Local,
    TooShort,
    Invalid,
    TooLong,
}

static PLANS: LazyLock<HashMap<u16, Vec<Plan>>> = LazyLock::new(|| {
    let mut plans: HashMap<u16, Vec<Plan>> = HashMap::new();
    for code in 1..1_000 {
        let Some(mut metas) = DATABASE.by_code(&code) else { continue };
        metas.sort_by_key(|meta| !meta.is_main_country_for_code());
        let of = metas.into_iter().map(|meta| Plan { meta, rules: OnceLock::new() }).collect();
        plans.insert(code, of);
    }
    plans
});

/// The plans of a country code, that of its main region first.
pub fn of_code(code: u16) -> &'static [Plan] {
    PLANS.get(&code).map(Vec::as_slice).unwrap_or_default()
}

/// The plan of a region.
pub fn of(region: Id) -> Option<&'static Plan> {
    let code = DATABASE.by_id(region.as_ref())?.country_code();
    of_code(code).iter().find(|plan| plan.meta.id() == region.as_ref())
}

/// All plans.
pub fn all() -> impl Iterator<Item = &'static Plan> {
    PLANS.values().flatten()
}

/// A digest of the data that numbers are read by.
#[cfg(test)]
pub fn digest() -> String {
    use sha2::{Digest, Sha256};

    let mut told: Vec<String> =
        all().map(|plan| format!("{} {:?} {:?}", plan.code(), plan.trunk_prefix(), plan.rules())).collect();
    told.sort();
    hex::encode(Sha256::digest(told.concat()))
}

/// A number with its country code: what stands behind `+`.
pub fn international(digits: &str) -> Option<Number> {
    let (code, rest) = country_code(digits)?;
    let plan = of_code(code).first()?;
    plan.number(rest)
}

/// The country code that `digits` begin with, and the digits behind it.
pub fn country_code(digits: &str) -> Option<(u16, &str)> {
    if digits.starts_with('0') {
        return None;
    }
    (1..=MAX_COUNTRY_CODE_DIGITS).find_map(|length| {
        let (code, rest) = digits.split_at_checked(length)?;
        let code = code.parse().ok()?;
        PLANS.contains_key(&code).then_some((code, rest))
    })
}

impl Plan {
    /// Digits of its shortest number.
    #[cfg(test)]
    pub fn shortest(&self) -> usize {
        self.rules().lengths.trailing_zeros().try_into().unwrap_or_default()
    }

    /// The country code.
    pub fn code(&self) -> u16 {
        self.meta.country_code()
    }

    /// What is dialled before a national number within the region.
    pub fn trunk_prefix(&self) -> Option<&'static str> {
        self.meta.national_prefix()
    }

    /// What `digits` mean where they are dialled in this region.
    pub fn read(&self, digits: &str) -> Option<Number> {
        if let Some(rest) = self.behind_international_prefix(digits) {
            return international(rest);
        }
        if let Some(rest) = digits.strip_prefix(&self.code().to_string()) {
            let potential = self.without_trunk(rest);
            let general = |digits: &str| self.general(digits);
            if (!general(digits) && general(&potential)) || self.length(digits) == Length::TooLong {
                return self.number(&potential);
            }
        }
        self.number(digits)
    }

    /// What stands behind the prefix by which other countries are dialled from this region.
    pub fn behind_international_prefix<'d>(&self, digits: &'d str) -> Option<&'d str> {
        let rest = digits.get(self.rules().international.as_ref()?.find(digits)?.end()..)?;
        (!rest.is_empty() && !rest.starts_with('0')).then_some(rest)
    }

    /// A number of this country by the digits that stand behind its code, or that are dialled within it.
    pub fn number(&self, digits: &str) -> Option<Number> {
        let potential = self.without_trunk(digits);
        let fits = !matches!(self.length(&potential), Length::TooShort | Length::Local | Length::Invalid);
        let national = if fits { potential } else { digits.to_owned() };
        NATIONAL_DIGITS.contains(&national.len()).then(|| Number { code: self.code(), national })
    }

    /// A number that no plan knows: without the zero that is dialled before national numbers, all else as given.
    pub fn unknown(&self, digits: &str) -> Number {
        let zero = self.trunk_prefix().is_some_and(|prefix| prefix.starts_with('0'));
        let without = digits.trim_start_matches('0');
        let national = if zero && !without.is_empty() { without } else { digits };
        Number { code: self.code(), national: national.to_owned() }
    }

    /// `digits` without what is dialled before a national number.
    fn without_trunk(&self, digits: &str) -> String {
        let rules = self.rules();
        let Some(captures) = rules.trunk.as_ref().and_then(|trunk| trunk.captures(digits)) else {
            return digits.to_owned();
        };
        let end = captures.get(0).map_or(0, |found| found.end());
        let rest = digits.get(end..).unwrap_or_default();
        let last = captures.len().checked_sub(1).filter(|last| *last > 0);
        let stripped = match (&rules.transform, last.and_then(|last| captures.get(last))) {
            (Some(transform), Some(_)) => {
                let mut out = String::new();
                captures.expand(transform, &mut out);
                out + rest
            }
            _ => rest.to_owned(),
        };
        // A prefix is none where the number would be none without it.
        if self.general(digits) && !self.general(&stripped) { digits.to_owned() } else { stripped }
    }

    fn general(&self, digits: &str) -> bool {
        self.rules().general.as_ref().is_some_and(|general| general.is_match(digits))
    }

    fn leading(&self) -> Option<&Regex> {
        self.rules().leading.as_ref()
    }

    /// Of a national number that can be assigned, whether it is of a service.
    fn kind(&self, national: &str) -> Option<bool> {
        let rules = self.rules();
        let length = bit(national.len());
        if rules.lengths & length == 0 || !self.general(national) {
            return None;
        }
        let mut kinds = rules.kinds.iter().filter(|(lengths, ..)| lengths & length != 0);
        kinds.find(|(_, pattern, _)| pattern.is_match(national)).map(|(.., service)| *service)
    }

    fn length(&self, digits: &str) -> Length {
        let rules = self.rules();
        let bit = bit(digits.len());
        if rules.local & bit != 0 {
            Length::Local
        } else if rules.lengths & bit != 0 {
            Length::Possible
        } else if bit < (rules.lengths & rules.lengths.wrapping_neg()) {
            Length::TooShort
        } else if bit > rules.lengths {
            Length::TooLong
        } else {
            Length::Invalid
        }
    }

    fn rules(&self) -> &Rules {
        self.rules.get_or_init(|| Rules::of(self.meta))
    }
}

impl Rules {
    fn of(meta: &Metadata) -> Rules {
        let descriptors = meta.descriptors();
        let of_persons = [
            descriptors.mobile(),
            descriptors.fixed_line(),
            descriptors.voip(),
            descriptors.personal_number(),
            descriptors.pager(),
            descriptors.voicemail(),
        ];
        let of_services = [
            descriptors.toll_free(),
            descriptors.shared_cost(),
            descriptors.premium_rate(),
            descriptors.uan(),
        ];
        let all = of_persons.map(|one| (one, false)).into_iter().chain(of_services.map(|one| (one, true)));
        let all: Vec<(&Descriptor, bool)> =
            all.filter_map(|(one, service)| one.map(|one| (one, service))).collect();
        let lengths = all.iter().fold(0, |sum, (one, _)| sum | bits(one.possible_length()));
        let local = all.iter().fold(0, |sum, (one, _)| sum | bits(one.possible_local_length()));
        let trunk = meta.national_prefix_for_parsing().map(|pattern| pattern.as_str());
        Rules {
            general: whole(descriptors.general().national_number().as_str()),
            kinds: all
                .iter()
                .filter_map(|(one, service)| {
                    let pattern = whole(one.national_number().as_str())?;
                    let lengths = Some(bits(one.possible_length())).filter(|bits| *bits != 0);
                    Some((lengths.unwrap_or(u32::MAX), pattern, *service))
                })
                .collect(),
            lengths,
            local: local & !lengths,
            international: meta.international_prefix().and_then(|prefix| beginning(prefix.as_str())),
            trunk: trunk.or(meta.national_prefix()).and_then(beginning),
            // `$1` may stand before digits of the number itself.
            transform: meta.national_prefix_transform_rule().map(|rule| {
                ["1", "2", "3"].iter().fold(rule.to_owned(), |rule, group| {
                    rule.replace(&format!("${group}"), &format!("${{{group}}}"))
                })
            }),
            leading: meta.leading_digits().and_then(|leading| beginning(leading.as_str())),
        }
    }
}

fn bit(length: usize) -> u32 {
    u32::try_from(length).ok().and_then(|length| 1_u32.checked_shl(length)).unwrap_or(1 << 31)
}

fn bits(lengths: &[u16]) -> u32 {
    lengths.iter().fold(0, |sum, length| sum | bit(usize::from(*length)))
}

/// A pattern that the whole text must match.
fn whole(pattern: &str) -> Option<Regex> {
    compiled(&format!("^(?:{pattern}\n)$"))
}

/// A pattern that the text must begin with.
fn beginning(pattern: &str) -> Option<Regex> {
    compiled(&format!("^(?:{pattern}\n)"))
}

fn compiled(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).ignore_whitespace(true).unicode(false).build().ok()
}
