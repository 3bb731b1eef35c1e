"""Addresses that lead inside, in every way that was found to pass somebody's check. Sources: the published
vulnerabilities of others, IANA's special-purpose registries, the metadata services of clouds."""

from __future__ import annotations

LOOPBACK = (
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "127.0.1", "127.000.000.001",
    "0x7f.1", "0x7F.0.0.1", "0x7f000001", "2130706433", "017700000001", "0177.1", "0177.0.0.01",
    "0", "0x0", "00.0", "0.0.0.0", "0.0.0.1",
    "localhost", "LOCALHOST", "LocalHost", "localhost.",
    "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "①②⑦.⓪.⓪.①", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::]", "[::1%25lo]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]",
    "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
)  # fmt: skip

METADATA = (
    "169.254.169.254", "169.254.170.2", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376",
    "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "[fd00:ec2::254]", "[fd20:ce::254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]",
)  # fmt: skip

PRIVATE = (
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255",
    "100.64.0.1", "100.127.255.255", "169.254.0.1",
    "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "198.51.100.1",
    "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "[fc00::1]", "[fd00::1]", "[fe80::1]", "[fe80::1%25lo]", "[fec0::1]", "[ff02::1]", "[ff0e::1]", "[100::1]",
    "[2001::1]", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "[2001:2::1]", "[2001:10::1]", "[2001:db8::1]",
    "[3fff::1]", "[4000::1]", "[5f00::1]", "[::ffff:8.8.8.8]",
)  # fmt: skip

HOSTS = LOOPBACK + METADATA + PRIVATE

DISGUISED = (
    "https://models.example.com@127.0.0.1:{port}/v1",
    "https://models.example.com:443@127.0.0.1:{port}/v1",
    "https://user:password@127.0.0.1:{port}/v1",
    "https://@127.0.0.1:{port}/v1",
    "https://models.example.com%40127.0.0.1:{port}/v1",
    "https://models.example.com\\@127.0.0.1:{port}/v1",
    "https://127.0.0.1:{port}\\@models.example.com/v1",
    "https://127.0.0.1:{port}#@models.example.com/v1",
    "https://127.0.0.1:{port}?@models.example.com/v1",
    "https://127.0.0.1%00.example.com:{port}/v1",
    "https://127.0.0.1%2f.example.com:{port}/v1",
    "https://127.0.0.1\t:{port}/v1",
    "https://127.0.0.1\r\nHost: models.example.com:{port}/v1",
    "https:///127.0.0.1:{port}/v1",
    "https:127.0.0.1:{port}/v1",
    "https:\\\\127.0.0.1:{port}\\v1",
    " https://127.0.0.1:{port}/v1",
    "//127.0.0.1:{port}/v1",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_x",
    "ftp://127.0.0.1:{port}/x",
    "unix:///run/postgresql/.s.PGSQL.5432",
)
"""Whole addresses, where two programs may read different hosts."""

PUBLIC = "1.1.1.1"
OTHER_PORTS = (21, 22, 23, 25, 53, 110, 389, 445, 2375, 2379, 3306, 3389, 5432, 6379, 9200, 10250, 11211, 27017)


def targets(port: int) -> list[str]:
    """Every address of the table, at a port where the test listens."""
    hosts = [f"{scheme}://{host}:{port}/v1" for host in HOSTS for scheme in ("https", "http")]
    disguised = [address.replace("{port}", str(port)) for address in DISGUISED]
    return [*hosts, *disguised, *(f"https://{PUBLIC}:{other}/v1" for other in OTHER_PORTS)]


KINDS = (
    "http://127.0.0.1:{port}/v1", "https://0x7f000001:{port}/v1", "http://localhost:{port}/v1",
    "https://①②⑦.⓪.⓪.①:{port}/v1", "http://[::1]:{port}/v1", "https://[::ffff:127.0.0.1]:{port}/v1",
    "https://[2002:7f00:1::]:{port}/v1", "http://169.254.169.254:{port}/v1", "https://10.0.0.1:{port}/v1",
    "https://224.0.0.1:{port}/v1", "https://[fe80::1%25lo]:{port}/v1", "https://192.0.2.1:{port}/v1",
    *DISGUISED[2:7], *DISGUISED[10:13], "//127.0.0.1:{port}/v1", "file:///etc/passwd", f"https://{PUBLIC}:6379/v1",
)  # fmt: skip


def one_of_each_kind(port: int) -> list[str]:
    """For a way in that asks a guard which was tried with all of them."""
    return [address.replace("{port}", str(port)) for address in KINDS]
