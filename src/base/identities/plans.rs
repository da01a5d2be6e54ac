//! Numbering plans: what a run of digits means in a region, by the rules and data of libphonenumber.
//! Room: base/identities.
//!
//! The data comes from the crate `phonenumber`. The rules are implemented here, because the crate accepts numbers
//! longer than their pattern and strips a national prefix twice.

use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
};

use phonenumber::{
    country::Id,
    metadata::{DATABASE, Descriptor, Metadata},
};
use regex::{Regex, RegexBuilder};

/// Minimum and maximum digits of a national number, as in libphonenumber.
const NATIONAL_DIGITS: std::ops::RangeInclusive<usize> = 2..=17;
/// Maximum digits of a country code.
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
    /// In ITU-T E.164 format.
    pub fn e164(&self) -> String {
        format!("+{}{}", self.code, self.national)
    }

    /// Whether such a number can be assigned.
    pub fn is_valid(&self) -> bool {
        self.assigned().is_some()
    }

    /// Whether it is a service number (free, shared cost, premium, company), which is also dialled by letters.
    pub fn is_service(&self) -> bool {
        self.assigned().is_some_and(|service| service)
    }

    /// For an assignable number, whether it is a service number.
    fn assigned(&self) -> Option<bool> {
        let plans = for_country_code(self.code);
        if let [plan] = plans {
            return plan.kind(&self.national);
        }
        // As libphonenumber finds the region of a number; the number is valid if it belongs to that region.
        plans.iter().find_map(|plan| match plan.leading() {
            Some(leading) => leading.is_match(&self.national).then(|| plan.kind(&self.national)),
            None => plan.kind(&self.national).map(Some),
        })?
    }
}

/// The numbering plan of a region.
pub struct Plan {
    meta: &'static Metadata,
    rules: OnceLock<Rules>,
}

/// Patterns, compiled on first use: most installations see numbers of a few regions only.
#[derive(Debug)]
struct Rules {
    general: Option<Regex>,
    /// Lengths, pattern and whether it is a service; the most common kinds come first.
    kinds: Vec<(u32, Regex, bool)>,
    lengths: u32,
    local: u32,
    international: Option<Regex>,
    trunk: Option<Regex>,
    transform: Option<String>,
    leading: Option<Regex>,
}

/// What the length of a number implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Possible,
    /// Length of a number that can only be dialled within its area.
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

/// The plans of a country code, its main region first.
pub fn for_country_code(code: u16) -> &'static [Plan] {
    PLANS.get(&code).map(Vec::as_slice).unwrap_or_default()
}

/// The plan of a region.
pub fn for_region(region: Id) -> Option<&'static Plan> {
    let code = DATABASE.by_id(region.as_ref())?.country_code();
    for_country_code(code).iter().find(|plan| plan.meta.id() == region.as_ref())
}

/// All plans.
pub fn all() -> impl Iterator<Item = &'static Plan> {
    PLANS.values().flatten()
}

/// A digest of the numbering data.
#[cfg(test)]
pub fn digest() -> String {
    use sha2::{Digest, Sha256};

    let mut entries: Vec<String> =
        all().map(|plan| format!("{} {:?} {:?}", plan.code(), plan.trunk_prefix(), plan.rules())).collect();
    entries.sort();
    hex::encode(Sha256::digest(entries.concat()))
}

/// A number with its country code: the digits after `+`.
pub fn international(digits: &str) -> Option<Number> {
    let (code, rest) = country_code(digits)?;
    let plan = for_country_code(code).first()?;
    plan.number(rest)
}

/// The country code at the start of `digits`, and the rest.
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

    /// The prefix for national calls within the region.
    pub fn trunk_prefix(&self) -> Option<&'static str> {
        self.meta.national_prefix()
    }

    /// The number that `digits` reach when dialled in this region.
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

    /// The digits after the prefix for international calls from this region.
    pub fn behind_international_prefix<'d>(&self, digits: &'d str) -> Option<&'d str> {
        let rest = digits.get(self.rules().international.as_ref()?.find(digits)?.end()..)?;
        (!rest.is_empty() && !rest.starts_with('0')).then_some(rest)
    }

    /// A number of this country from the digits after its code, or as dialled nationally.
    pub fn number(&self, digits: &str) -> Option<Number> {
        let potential = self.without_trunk(digits);
        let fits = !matches!(self.length(&potential), Length::TooShort | Length::Local | Length::Invalid);
        let national = if fits { potential } else { digits.to_owned() };
        NATIONAL_DIGITS.contains(&national.len()).then(|| Number { code: self.code(), national })
    }

    /// A number outside the plan: without the national prefix zero, otherwise as given.
    pub fn unknown(&self, digits: &str) -> Number {
        let zero = self.trunk_prefix().is_some_and(|prefix| prefix.starts_with('0'));
        let without = digits.trim_start_matches('0');
        let national = if zero && !without.is_empty() { without } else { digits };
        Number { code: self.code(), national: national.to_owned() }
    }

    /// `digits` without the national prefix.
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
        // The prefix is kept if the number would be invalid without it.
        if self.general(digits) && !self.general(&stripped) { digits.to_owned() } else { stripped }
    }

    fn general(&self, digits: &str) -> bool {
        self.rules().general.as_ref().is_some_and(|general| general.is_match(digits))
    }

    fn leading(&self) -> Option<&Regex> {
        self.rules().leading.as_ref()
    }

    /// For an assignable national number, whether it is a service number.
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
        self.rules.get_or_init(|| Rules::new(self.meta))
    }
}

impl Rules {
    fn new(meta: &Metadata) -> Rules {
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
        let all = of_persons
            .map(|description| (description, false))
            .into_iter()
            .chain(of_services.map(|description| (description, true)));
        let all: Vec<(&Descriptor, bool)> = all
            .filter_map(|(description, service)| description.map(|description| (description, service)))
            .collect();
        let lengths = all.iter().fold(0, |sum, (description, _)| sum | bits(description.possible_length()));
        let local =
            all.iter().fold(0, |sum, (description, _)| sum | bits(description.possible_local_length()));
        let trunk = meta.national_prefix_for_parsing().map(|pattern| pattern.as_str());
        Rules {
            general: anchored(descriptors.general().national_number().as_str()),
            kinds: all
                .iter()
                .filter_map(|(description, service)| {
                    let pattern = anchored(description.national_number().as_str())?;
                    let lengths = Some(bits(description.possible_length())).filter(|bits| *bits != 0);
                    Some((lengths.unwrap_or(u32::MAX), pattern, *service))
                })
                .collect(),
            lengths,
            local: local & !lengths,
            international: meta.international_prefix().and_then(|prefix| anchored_at_start(prefix.as_str())),
            trunk: trunk.or(meta.national_prefix()).and_then(anchored_at_start),
            // `$1` may be followed by digits of the number itself.
            transform: meta.national_prefix_transform_rule().map(|rule| {
                ["1", "2", "3"].iter().fold(rule.to_owned(), |rule, group| {
                    rule.replace(&format!("${group}"), &format!("${{{group}}}"))
                })
            }),
            leading: meta.leading_digits().and_then(|leading| anchored_at_start(leading.as_str())),
        }
    }
}

fn bit(length: usize) -> u32 {
    u32::try_from(length).ok().and_then(|length| 1_u32.checked_shl(length)).unwrap_or(1 << 31)
}

fn bits(lengths: &[u16]) -> u32 {
    lengths.iter().fold(0, |sum, length| sum | bit(usize::from(*length)))
}

/// A pattern that must match the whole text.
fn anchored(pattern: &str) -> Option<Regex> {
    compiled(&format!("^(?:{pattern}\n)$"))
}

/// A pattern that must match the beginning of the text.
fn anchored_at_start(pattern: &str) -> Option<Regex> {
    compiled(&format!("^(?:{pattern}\n)"))
}

fn compiled(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern).ignore_whitespace(true).unicode(false).build().ok()
}
