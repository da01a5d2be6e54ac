#!/usr/bin/env bash
# rhonabwy 1.1.11 (Debian 12: rnbyc, and glewlwyd 2.7.5, an OpenID Connect server): keys on elliptic curves as JWKs.
#
# Seen: leading zero bytes of a coordinate are left out. Of keys on P-521, whose coordinates begin with seven bits that are always zero, about
#       three in four have a coordinate of fewer than 66 bytes; of keys on P-256 about one in 128.
# Guess: RFC 7518, 6.2.1.2: "The length of this octet string MUST be the full size of a coordinate for the curve".
# Matters: a verifier that is as strict as the RFC drops such a key, and a server that has worked for months refuses everybody after its keys
#       are made anew. Padding on the left gives the same point; whoever only tests with one key on P-256 never sees it.
#
# Needs apt-get, dpkg and python3 on Debian 12. Ends with 1 when this has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
packages=(rnbyc=1.1.11-1 librhonabwy1.1=1.1.11-1 liborcania2.3 libyder2.0 libjansson4)
apt-get download -q "${packages[@]}" >/dev/null
for package in *.deb; do dpkg -x "$package" root; done
libraries=$(find root -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
keys=200
for _ in $(seq "$keys"); do
    LD_LIBRARY_PATH="$libraries" root/usr/bin/rnbyc -j -g ec521 -k key -p /dev/null
done >keys.txt
python3 - "$keys" <<'END'
import base64, re, sys
text = open("keys.txt").read()
found = re.findall(r'"([xy])": *"([^"]*)"', text)
lengths = [len(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))) for _, value in found]
keys = len(lengths) // 2
short = sum(1 for at in range(keys) if min(lengths[2 * at : 2 * at + 2]) < 66)
print(f"{keys} keys on P-521: {short} with a coordinate of fewer than 66 bytes, the shortest {min(lengths)}")
if not (keys >= int(sys.argv[1]) and 0.5 < short / keys < 0.95):
    sys.exit("this has changed")
END
