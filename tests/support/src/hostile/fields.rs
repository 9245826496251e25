//! Hostile values of Rekey's other fields.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::addresses::{characters, insert, lookalikes};
use super::json::field;
use super::{CANARY, PAGES, TOKEN};

pub(super) fn urls() -> impl Strategy<Value = String> {
    let page = || select(PAGES.to_vec()).prop_map(str::to_owned);
    let typed = (page(), any::<Index>(), select(characters()))
        .prop_map(|(page, at, character)| insert(&page, at, character));
    let cut =
        (page(), any::<Index>()).prop_map(|(page, at)| page[..at.index(page.len())].to_owned());
    let elsewhere = select(ELSEWHERE.lines().collect::<Vec<_>>()).prop_map(str::to_owned);
    field(prop_oneof![
        20 => page(),
        3 => lookalikes(PAGES.to_vec()),
        3 => typed,
        1 => cut,
        6 => elsewhere,
        1 => any::<String>(),
    ])
}

/// Variants of the allowed reset URLs, and other URLs, one per line.
const ELSEWHERE: &str = "\
HTTPS://APP.EXAMPLE.COM/password/reset
https://app.example.com:443/password/reset
https:app.example.com/password/reset
https:\\\\app.example.com\\password\\reset
https:///app.example.com/password/reset
https://app%2eexample.com/password/reset
https://app.example.com/x/../password/reset
https://app.example.com/password/./reset
https://app.example.com/password/%2e/reset
https://app.example.com/password/%72eset
https://app.example.com//password/reset
https://app.example.com/password//reset
https://app.example.com/Password/Reset
https://app.example.com/password/reset/
https://app.example.com/password/reset?
https://app.example.com/password/reset#
https://app.example.com/password/reset#@evil.test/
https://app.example.com/password/reset?token=x
https://app.example.com/password/reset?email=eve@evil.test
https://app.example.com/password/reset;x
https://app.example.com/password/reset%00
https://app.example.com/password/reset%2f..%2fevil
https://app.example.com/password/reset/..%2f
https://app.example.com/password/..%5cevil
https://app.example.com/account?view=reset&view=evil
https://app.example.com/account?view=reset&next=//evil.test
https://app.example.com/account?VIEW=reset
https://app.example.com/account?view=%72eset
https://app.example.com/account
http://app.example.com/password/reset
//app.example.com/password/reset
/password/reset
https://app.example.com./password/reset
https://app.example.com:8443/password/reset
https://app.example.com:0443/password/reset
https://app.example.com:/password/reset
https://app.example.com:65536/password/reset
https://ada@app.example.com/password/reset
https://:@app.example.com/password/reset
https://app.example.com@evil.test/password/reset
https://app.example.com\\@evil.test/password/reset
https://evil.test\\@app.example.com/password/reset
https://app.example.com%40evil.test/password/reset
https://app.example.com.evil.test/password/reset
https://app.example.com%00.evil.test/password/reset
https://evil.test/https://app.example.com/password/reset
https://evil.test/?https://app.example.com/password/reset
https://[::1]/password/reset
https://[::ffff:127.0.0.1]/password/reset
https://2130706433/password/reset
https://0x7f.1/password/reset
javascript://app.example.com/password/reset%0aalert(1)
data:text/html,https://app.example.com/password/reset
blob:https://app.example.com/password/reset";

pub(super) fn tokens() -> impl Strategy<Value = String> {
    let odd = [
        "",
        "0",
        "00",
        "token#",
        "' OR 1=1 --",
        "../..",
        "null",
        "undefined",
    ];
    let near = (0..64_usize, select(characters())).prop_map(|(at, character)| {
        let mut digits: Vec<char> = "0".repeat(64).chars().collect();
        digits[at] = character;
        digits.into_iter().collect()
    });
    let around = select(vec![" {}", "{}\n", "{}0", "token#{}", "{}\u{0}", "{}{}"]);
    let around = around.prop_map(|around| around.replace("{}", TOKEN));
    field(prop_oneof![
        20 => Just(TOKEN.to_owned()),
        2 => around,
        1 => "[0-9a-f]{64}",
        1 => "[0-9a-fA-F]{60,68}",
        1 => near,
        1 => select(odd.to_vec()).prop_map(str::to_owned),
        1 => Just("\u{ff10}".repeat(64)),
    ])
}

pub(super) fn passwords() -> impl Strategy<Value = String> {
    field(prop_oneof![
        8 => Just(format!("{CANARY} and staple")),
        1 => any::<String>(),
        1 => (0..300_usize).prop_map(|length| "é".repeat(length)),
    ])
}
