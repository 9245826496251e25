//! Secrets are wiped from the process's memory after use. This test has its own process, and reads its memory.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::FileExt as _;
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
use rekey::request_id::RequestId;
use rekey::secret::SecretText;
use rekey::source::Source;
use rekey::token::Token;
use reset::hasher::Hasher;
use reset::policy::{NewPassword, Policy};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use support::deployment::{long_timeouts, sdk_config};

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
        ("a password", password),
        ("a payload", payload),
        ("argon2's memory", memory_of_argon2),
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
    let text: String = traces
        .digits
        .iter()
        .map(|byte| char::from(byte ^ MASK))
        .collect();
    let around = format!("{}{text}{}", "-".repeat(300), "-".repeat(300));
    drop(std::hint::black_box(around));
}

fn token() -> Traces {
    let token = Token::generate().unwrap();
    let traces = Traces::of_token(&token);
    std::hint::black_box(token.hash());
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
        .render_email(&email, &page.link(&email, &token), Locale::En)
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

fn password() -> Traces {
    let secret = secret();
    let defaults = |_: &str| None;
    let policy = Policy::read(&mut Env::new(&defaults)).unwrap();
    let hasher = Hasher::read(&mut Env::new(&defaults)).unwrap();
    let password = NewPassword::parse(secret.expose_secret(), &policy, None).unwrap();
    let hash = hasher.hash(password).unwrap();
    assert!(hash.as_str().starts_with("$argon2id$"));
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

/// Returns traces of argon2's memory. An attacker who has it can try passwords at a fraction of the cost.
fn memory_of_argon2() -> Traces {
    let secret = secret();
    let defaults = |_: &str| None;
    let policy = Policy::read(&mut Env::new(&defaults)).unwrap();
    // Leak the hasher, so that the memory that it keeps is searched too.
    let hasher = Box::leak(Box::new(Hasher::read(&mut Env::new(&defaults)).unwrap()));
    let password = NewPassword::parse(secret.expose_secret(), &policy, None).unwrap();
    // Allocate the blocks first, so that they do not overwrite the memory that hashing leaves.
    let mut blocks = Zeroizing::new(vec![Block::default(); Params::default().block_count()]);
    let hash = hasher.hash(password).unwrap();
    let hash = phc::PasswordHash::new(hash.as_str()).unwrap();
    let (password, salt) = (secret.expose_secret().as_bytes(), hash.salt.unwrap());
    let mut output = [0; 32];
    Argon2::default()
        .hash_password_into_with_memory(password, &salt, &mut output, &mut blocks[..])
        .unwrap();
    assert_eq!(hash.hash.unwrap().as_ref(), output);
    let block = &blocks[10_000].as_ref()[40..44];
    let masked: Vec<u8> = block
        .iter()
        .flat_map(|word| word.to_ne_bytes().map(|byte| byte ^ MASK))
        .collect();
    Traces {
        bytes: masked[..16].to_vec(),
        digits: masked,
    }
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

/// The bytes to search for, masked so that the search does not find them here.
struct Traces {
    digits: Vec<u8>,
    /// The bytes of a token, which may be in memory when its digits are not.
    bytes: Vec<u8>,
}

const MASK: u8 = 0x80;

impl Traces {
    /// Returns the traces of a secret's middle, because an allocator overwrites the first bytes of freed memory.
    fn of(secret: &SecretString) -> Self {
        let digits = &secret.expose_secret().as_bytes()[24..56];
        let value = |digit: u8| char::from(digit).to_digit(16).unwrap();
        let byte = |pair: &[u8]| u8::try_from(value(pair[0]) << 4 | value(pair[1])).unwrap();
        Self {
            digits: digits.iter().map(|digit| digit ^ MASK).collect(),
            bytes: digits.chunks(2).map(|pair| byte(pair) ^ MASK).collect(),
        }
    }

    fn of_token(token: &Token) -> Self {
        Self::of(&token.hex())
    }
}

/// Reads this process's memory. It allocates its buffers at the start. Otherwise, they could reuse freed memory, and
/// overwrite the traces.
struct Search {
    memory: File,
    maps: String,
    writable: Vec<(u64, u64)>,
    chunk: Vec<u8>,
}

impl Search {
    const CHUNK: usize = 1 << 16;

    fn new() -> Self {
        Self {
            memory: File::open("/proc/self/mem").unwrap(),
            maps: String::with_capacity(Self::CHUNK),
            writable: Vec::with_capacity(1000),
            chunk: vec![0; Self::CHUNK + 32],
        }
    }

    /// Returns the number of occurrences of the traces in writable memory.
    fn count(&mut self, traces: &Traces) -> usize {
        self.maps.clear();
        let mut maps = File::open("/proc/self/maps").unwrap();
        maps.read_to_string(&mut self.maps).unwrap();
        self.writable.clear();
        let lines = self.maps.lines().filter(|line| line.contains(" rw"));
        self.writable.extend(lines.map(range));
        self.count_of(&traces.digits) + self.count_of(&traces.bytes)
    }

    fn count_of(&mut self, masked: &[u8]) -> usize {
        let (first, others) = masked.split_first().unwrap();
        let starts_here = |rest: &[u8]| {
            rest.len() >= others.len() && rest.iter().zip(others).all(|(a, b)| *a == b ^ MASK)
        };
        let mut count = 0;
        for (start, end) in &self.writable {
            for at in (*start..*end).step_by(Self::CHUNK) {
                let max = Self::CHUNK + masked.len() - 1;
                let length = max.min(usize::try_from(end - at).unwrap());
                let Ok(read) = self.memory.read_at(&mut self.chunk[..length], at) else {
                    break;
                };
                let mut rest = &self.chunk[..read];
                while rest.skip_until(first ^ MASK).unwrap() > 0 {
                    count += usize::from(starts_here(rest));
                }
            }
        }
        count
    }
}

/// Returns the start and the end of the range in a line of `/proc/self/maps`.
fn range(line: &str) -> (u64, u64) {
    let (start, rest) = line.split_once('-').unwrap();
    let (end, _) = rest.split_once(' ').unwrap();
    let address = |digits| u64::from_str_radix(digits, 16).unwrap();
    (address(start), address(end))
}
