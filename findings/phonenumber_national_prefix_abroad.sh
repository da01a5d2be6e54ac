#!/usr/bin/env bash
# Crate phonenumber 0.3.10+9.0.33 beside PyPI phonenumbers 9.0.33 (the same data of libphonenumber): numbers with a country code that are
# read for another region.
#
# Seen: the crate takes a digit off the national part of numbers of countries that dial a leading zero also from abroad: `+39 06 6982 1234`
#       becomes +39669821234 (Italy), and the same happens to +225 (Ivory Coast), +229 (Benin), +242 (Congo). In Russian numbers
#       `+7 800 123-45-67` becomes +7001234567: the 8 counts as the prefix of calls within the country. Python keeps all of them whole.
#       `is_valid` of the crate answers yes where only the beginning of a number fits a pattern: +387611234562 has a digit too many.
# Guess: a number that begins with + has no national prefix, so that none is taken off; ports that share their data agree; a valid number
#       is one of which all digits fit.
# Matters: the number that is stored, dialled or looked up is another one, or nobody's. A list of those who must not be called misses them:
#       two programs with the same data do not find each other's entries. Compare with a second reader before such a key is trusted, and
#       keep the text as it was given.
#
# Needs cargo and python3 with pip. Ends with 1 when this has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-input --target "$work/python" phonenumbers==9.0.33
mkdir -p "$work/program/src" && cd "$work/program"
cat >Cargo.toml <<'END'
[package]
name = "numbers"
version = "0.0.0"
edition = "2021"
[dependencies]
phonenumber = "=0.3.10"
END
cat >src/main.rs <<'END'
use phonenumber::{Mode, country::Id};

fn main() {
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (region, text) = line.split_once('\t').unwrap();
        let region: Id = region.parse().unwrap();
        match phonenumber::parse(Some(region), text) {
            Ok(number) => println!("{} {}", number.format().mode(Mode::E164), phonenumber::is_valid(&number)),
            Err(_) => println!("unread"),
        }
    }
}
END
cat >numbers.tsv <<'END'
DE	+39 06 6982 1234
DE	+225 01 23 45 67 89
DE	+229 01 95 12 34 56
DE	+242 06 612 3456
RU	+7 800 123-45-67
DE	+387 61 123 4562
DE	+49 30 123456
END
cat >numbers.py <<'END'
import phonenumbers, sys
for line in sys.stdin:
    region, text = line.rstrip("\n").split("\t")
    number = phonenumbers.parse(text, region)
    print(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), str(phonenumbers.is_valid_number(number)).lower())
END
cargo build --quiet
./target/debug/numbers <numbers.tsv >crate.txt
PYTHONPATH="$work/python" python3 numbers.py <numbers.tsv >python.txt
echo 'region, number, crate, python:'
paste numbers.tsv crate.txt python.txt
cat >expected.txt <<'END'
+39669821234 +390669821234
+225123456789 +2250123456789
+229195123456 +2290195123456
+24266123456 +242066123456
+7001234567 +78001234567
+387611234562 +387611234562
+4930123456 +4930123456
END
paste -d' ' <(cut -d' ' -f1 crate.txt) <(cut -d' ' -f1 python.txt) | diff expected.txt - || { echo 'this has changed'; exit 1; }
[ "$(sed -n 6p crate.txt)" = '+387611234562 true' ] && [ "$(sed -n 6p python.txt)" = '+387611234562 false' ] || {
    echo 'what counts as valid has changed'
    exit 1
}
