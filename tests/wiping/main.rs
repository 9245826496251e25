//! Secrets are wiped from the process's memory after use. This test has its own process, and reads its memory.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod search;

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::thread;

use argon2::password_hash::phc;
use argon2::{Argon2, Block, Params};
use aws_config::SdkConfig;
use forgot::Forgot;
use forgot::allow_list::AllowList;
use forgot::reset_url::Placement;
use rekey::aws::function_arn::FunctionArn;
use rekey::aws::invoke::Invoker;
use rekey::config::Env;
use rekey::email::Email;
use rekey::http::request::Request;
use rekey::locale::Locale;
use rekey::password_hash::PasswordHash;
use rekey::request_id::RequestId;
use rekey::secret::SecretText;
use rekey::source::Source;
use rekey::token::Token;
use reset::format::Format;
use reset::hasher::Hasher;
use reset::policy::{NewPassword, Policy};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::block_api::{compress256, compress512};
use support::deployment::{long_timeouts, sdk_config};

use search::{MASK, Search, Traces, masked};

const PAGE: &str = "https://app.example.com/password/reset?view=a-page-with-a-rather-long-name";

/// This is the only test of the process, so that the search reads no other test's memory.
#[test]
fn secrets_are_wiped_after_use() {
    let mut search = Search::new();
    let control = Traces::of(&secret());
    leave_a_string(&control);
    assert!(
        search.count(&control) > 0,
        "the search finds a dropped string"
    );

    let mut found = Vec::new();
    for (what, leave) in [
        ("a token", token as fn() -> Traces),
        ("a link in the query", || link(Placement::Query)),
        ("a link in the fragment", || link(Placement::Fragment)),
        ("an email", email),
        ("a field", field),
        ("an argon2id password", || password(Format::Argon2id)),
        ("an argon2id-django password", || {
            password(Format::Argon2idDjango)
        }),
        ("a bcrypt-2b password", || password(Format::Bcrypt2b)),
        ("a bcrypt-2y password", || password(Format::Bcrypt2y)),
        ("a pbkdf2-django password", || {
            password(Format::Pbkdf2Django)
        }),
        ("a pbkdf2-aspnet password", || {
            password(Format::Pbkdf2AspNet)
        }),
        ("a payload", payload),
        ("argon2's memory", memory_of_argon2),
        ("HMAC's memory with SHA-256", memory_of_hmac_sha256),
        ("HMAC's memory with SHA-512", memory_of_hmac_sha512),
    ] {
        for _ in 0..2 {
            let copies = search.count(&leave());
            if copies > 0 {
                found.push((what, copies));
            }
        }
    }
    assert_eq!(found, [], "copies");
}

/// Drops a string without wiping it. The search must find it, or it would prove nothing.
fn leave_a_string(traces: &Traces) {
    let text: String = traces.0[0]
        .iter()
        .map(|byte| char::from(byte ^ MASK))
        .collect();
    let around = format!("{}{text}{}", "-".repeat(300), "-".repeat(300));
    drop(black_box(around));
}

fn token() -> Traces {
    let token = Token::generate().unwrap();
    let traces = Traces::of_token(&token);
    black_box(token.hash());
    traces
}

fn link(placement: Placement) -> Traces {
    let token = Token::generate().unwrap();
    let email = Email::parse("ada@example.com").unwrap();
    let page = AllowList::parse(PAGE, placement)
        .unwrap()
        .allow(PAGE)
        .unwrap();
    let link = page.link(&email, &token);
    assert!(link.expose().contains(token.hex().expose_secret()));
    Traces::of_token(&token)
}

fn email() -> Traces {
    let token = Token::generate().unwrap();
    let email = Email::parse("ada@example.com").unwrap();
    let page = AllowList::parse(PAGE, Placement::Query)
        .unwrap()
        .allow(PAGE)
        .unwrap();
    let rendered = forgot()
        .render_email(&email, None, &page.link(&email, &token), Locale::En)
        .unwrap();
    for text in [&rendered.text, &rendered.html] {
        assert!(text.expose_secret().contains(token.hex().expose_secret()));
    }
    Traces::of_token(&token)
}

fn field() -> Traces {
    let secret = secret();
    let mut body = SecretText::default();
    std::fmt::Write::write_fmt(
        &mut body,
        format_args!("{{\"password\":\"{}\"}}", secret.expose_secret()),
    )
    .unwrap();
    let request = Request {
        method: "POST".to_owned(),
        path: "/password/reset".to_owned(),
        content_type: Some("application/json".to_owned()),
        body: body.finish().expose_secret().as_bytes().to_vec().into(),
        source: Source::parse(None),
        id: RequestId::unknown(),
    };
    let form = request.form().unwrap();
    assert!(form.text("password").is_some());
    Traces::of(&secret)
}

fn password(format: Format) -> Traces {
    let secret = secret();
    hash(format, &secret);
    Traces::of(&secret)
}

/// Returns the traces of a payload that Lambda received. Lambda must not read it, because it is in this process.
fn payload() -> Traces {
    let secret = secret();
    let lambda = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", lambda.local_addr().unwrap());
    let answer = thread::spawn(move || {
        let mut socket = lambda.accept().unwrap().0;
        socket.peek(&mut [0]).unwrap();
        socket
            .write_all(b"HTTP/1.1 200 -\r\ncontent-length: 2\r\n\r\n{}")
            .unwrap();
        socket
    });
    let invoker = Invoker::new(&sdk_config(&endpoint, long_timeouts()));
    let function = "arn:aws:lambda:us-east-1:123456789012:function:replace";
    let function = FunctionArn::parse(function).unwrap();
    let mut payload = SecretText::default();
    payload.push("{\"plain\":\"");
    payload.push(secret.expose_secret());
    payload.push("\"}");
    let call = invoker.invoke_once("directory.replace", &function, payload.finish());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert_eq!(runtime.block_on(call).unwrap(), b"{}");
    drop(answer.join().unwrap());
    Traces::of(&secret)
}

/// Hashes a password in a format, with the fewest steps that Rekey accepts. Returns the hasher, too.
fn hash(format: Format, secret: &SecretString) -> (Hasher, PasswordHash) {
    let fewest = |name: &str| match name {
        "BCRYPT_COST" => Some("10".to_owned()),
        "PBKDF2_ITERATIONS" if format == Format::Pbkdf2AspNet => Some("210000".to_owned()),
        "PBKDF2_ITERATIONS" => Some("600000".to_owned()),
        _ => None,
    };
    let mut env = Env::new(&fewest);
    let policy = Policy::read(&mut env, format).unwrap();
    let hasher = Hasher::read(&mut env, format).unwrap();
    let password = NewPassword::parse(secret.expose_secret(), &policy, None).unwrap();
    let hash = far_below(|| hasher.hash(password).unwrap());
    (hasher, hash)
}

/// Calls a function far below on the stack, where later calls do not overwrite what it leaves.
#[inline(never)]
fn far_below<T>(call: impl FnOnce() -> T) -> T {
    let distance = black_box([0_u8; 1 << 14]);
    let result = call();
    black_box(&distance);
    result
}

/// Returns traces of argon2's memory. An attacker who has it can try passwords at a fraction of the cost.
fn memory_of_argon2() -> Traces {
    let secret = secret();
    // Allocate the blocks first, so that they do not overwrite the memory that hashing leaves.
    let mut blocks = Zeroizing::new(vec![Block::default(); Params::default().block_count()]);
    let (hasher, hash) = hash(Format::Argon2id, &secret);
    // Leak the hasher, so that the memory that it keeps is searched too.
    Box::leak(Box::new(hasher));
    let hash = phc::PasswordHash::new(hash.as_str()).unwrap();
    let (password, salt) = (secret.expose_secret().as_bytes(), hash.salt.unwrap());
    let mut output = [0; 32];
    Argon2::default()
        .hash_password_into_with_memory(password, &salt, &mut output, &mut blocks[..])
        .unwrap();
    assert_eq!(hash.hash.unwrap().as_ref(), output);
    let block = &blocks[10_000].as_ref()[40..44];
    let bytes = block.iter().flat_map(|word| word.to_ne_bytes());
    Traces(vec![masked(bytes)])
}

/// Returns traces of PBKDF2's memory: the key as HMAC pads it (RFC 2104), and the two states after that key, with which
/// a guess takes one iteration instead of all of them.
fn memory_of_hmac_sha256() -> Traces {
    let secret = secret();
    let mut traces = Vec::new();
    for pad in [0x36, 0x5c] {
        let mut state = Zeroizing::new([
            0x6a09_e667_u32,
            0xbb67_ae85,
            0x3c6e_f372,
            0xa54f_f53a,
            0x510e_527f,
            0x9b05_688c,
            0x1f83_d9ab,
            0x5be0_cd19,
        ]);
        let block = padded::<64>(&secret, pad);
        compress256(&mut state, &*block);
        traces.extend(hmac_traces(
            &block[0],
            state.map(u32::to_ne_bytes).as_flattened(),
        ));
    }
    hash(Format::Pbkdf2Django, &secret);
    Traces(traces)
}

fn memory_of_hmac_sha512() -> Traces {
    let secret = secret();
    let mut traces = Vec::new();
    for pad in [0x36, 0x5c] {
        let mut state = Zeroizing::new([
            0x6a09_e667_f3bc_c908_u64,
            0xbb67_ae85_84ca_a73b,
            0x3c6e_f372_fe94_f82b,
            0xa54f_f53a_5f1d_36f1,
            0x510e_527f_ade6_82d1,
            0x9b05_688c_2b3e_6c1f,
            0x1f83_d9ab_fb41_bd6b,
            0x5be0_cd19_137e_2179,
        ]);
        let block = padded::<128>(&secret, pad);
        compress512(&mut state, &*block);
        traces.extend(hmac_traces(
            &block[0],
            state.map(u64::to_ne_bytes).as_flattened(),
        ));
    }
    hash(Format::Pbkdf2AspNet, &secret);
    Traces(traces)
}

/// Returns short pieces of a padded key and of a state, because an optimizer may store each word of them elsewhere.
fn hmac_traces(block: &[u8], state: &[u8]) -> [Vec<u8>; 3] {
    let piece = |bytes: &[u8]| masked(bytes.iter().copied());
    [
        piece(&block[24..32]),
        piece(&state[..8]),
        piece(&state[16..24]),
    ]
}

/// Returns a key as HMAC pads it to a block.
fn padded<const N: usize>(secret: &SecretString, pad: u8) -> Zeroizing<[[u8; N]; 1]> {
    let mut block = Zeroizing::new([[pad; N]]);
    for (byte, key) in block[0].iter_mut().zip(secret.expose_secret().as_bytes()) {
        *byte ^= key;
    }
    block
}

fn forgot() -> Forgot {
    let settings: HashMap<&str, &str> = [
        ("STACK_NAME", "rekey"),
        ("REKEY_TABLE", "rekey"),
        ("RESET_URLS", PAGE),
        ("PRODUCT_NAME", "Example"),
        ("MAIL_FROM_ADDRESS", "no-reply@example.com"),
        ("USERS_TABLE", "users"),
        ("USERS_KEY_ATTRIBUTE", "id"),
        ("USERS_EMAIL_ATTRIBUTE", "email"),
        ("USERS_EMAIL_INDEX", "email-index"),
        ("USERS_PASSWORD_ATTRIBUTE", "password_hash"),
    ]
    .into();
    let sdk = SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .build();
    let variable = |name: &str| settings.get(name).map(|value| (*value).to_owned());
    Forgot::new(&sdk, &variable, Box::new(io::sink())).unwrap()
}

/// Returns 64 random digits.
fn secret() -> SecretString {
    Token::generate().unwrap().hex()
}
