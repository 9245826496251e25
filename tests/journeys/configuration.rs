//! A wrong setting is told at the start, by name, with what was found and what is wanted.

use forgot::Forgot;
use reset::Reset;

use crate::app::{environment, sdk_config, unhurried};

fn complaints(replaced: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let sdk = sdk_config("http://127.0.0.1:1", unhurried());
    let settings = environment(replaced);
    let variable = |name: &str| settings.get(name).cloned();
    let log = || Box::new(std::io::sink());
    (
        Forgot::new(&sdk, &variable, log())
            .err()
            .map(|error| error.to_string()),
        Reset::new(&sdk, &variable, log())
            .err()
            .map(|error| error.to_string()),
    )
}

#[test]
fn the_apps_own_settings_are_right() {
    assert_eq!(complaints(&[]), (None, None));
}

#[test]
fn every_wrong_setting_is_told_at_once() {
    let (forgot, _) = complaints(&[
        ("RESET_URLS", "http://app.example.com/"),
        ("TOKEN_LIFETIME_MINUTES", "4"),
        ("MAIL_FROM_ADDRESS", "nobody"),
        ("COOLDOWN_SECONDS", "0"),
        ("PRODUCT_NAME", ""),
    ]);
    let told = forgot.unwrap();
    for part in [
        "RESET_URLS: found \"http://app.example.com/\", wanted absolute https URLs",
        "TOKEN_LIFETIME_MINUTES: found \"4\", wanted a whole number from 5 to 1440",
        "MAIL_FROM_ADDRESS: found \"nobody\", wanted one email address in lower case",
        "COOLDOWN_SECONDS: found \"0\", wanted a whole number from 1 to 3600",
        "PRODUCT_NAME: found \"\", wanted 1 to 64 characters",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

/// IAM compares it with what the mail says letter by letter, and we write addresses in lower case.
#[test]
fn a_sender_with_a_capital_letter_is_refused_and_not_denied_later() {
    let (forgot, _) = complaints(&[("MAIL_FROM_ADDRESS", "No-Reply@example.com")]);
    assert!(forgot.unwrap().contains("MAIL_FROM_ADDRESS"));
    let template = std::fs::read_to_string("template.yaml").unwrap();
    for parameter in ["MailFromAddress", "MailIdentity"] {
        let (_, declared) = template.split_once(&format!("\n  {parameter}:\n")).unwrap();
        let (_, pattern) = declared.split_once("AllowedPattern: ").unwrap();
        let pattern = pattern.lines().next().unwrap().replace("^[^\\sA-Z", "^[^");
        assert!(!pattern.contains("A-Z"), "{parameter}: {pattern}");
    }
}

/// A stream remembers for 24 hours: what is given up later than that is gone before it is put into the queue.
#[test]
fn what_is_given_up_is_still_in_the_stream() {
    let template = std::fs::read_to_string("template.yaml").unwrap();
    let ages = template
        .lines()
        .filter_map(|line| line.trim().strip_prefix("MaximumRecordAgeInSeconds: "));
    let ages: Vec<u32> = ages.map(|age| age.parse().unwrap()).collect();
    assert_eq!(ages.len(), 2);
    assert!(ages.iter().all(|age| *age <= 23 * 3600), "{ages:?}");
}

#[test]
fn weak_hashing_is_refused() {
    for (weak, value) in [
        ("ARGON2_MEMORY_KIB", "19455"),
        ("ARGON2_ITERATIONS", "1"),
        ("PASSWORD_MIN_LENGTH", "7"),
    ] {
        let (_, reset) = complaints(&[(weak, value)]);
        assert!(reset.unwrap().contains(weak));
    }
}

#[test]
fn origins_for_cors_must_include_those_of_the_reset_urls() {
    let (forgot, _) = complaints(&[("RESET_URL_ORIGINS", "https://www.example.com")]);
    let told = "RESET_URL_ORIGINS: found \"https://www.example.com\", \
                wanted also the origins of RESET_URLS: https://app.example.com";
    assert!(forgot.unwrap().ends_with(told));
}

#[test]
fn limits_that_contradict_each_other_are_rejected_by_both_names() {
    for (settings, names) in [
        (
            &[("TOKEN_LIFETIME_MINUTES", "5"), ("COOLDOWN_SECONDS", "301")][..],
            ["COOLDOWN_SECONDS", "TOKEN_LIFETIME_MINUTES"],
        ),
        (
            &[("SOURCE_LIMIT", "131")],
            ["SOURCE_LIMIT", "DAILY_MAIL_BUDGET"],
        ),
        (
            &[("SOURCE_WINDOW_SECONDS", "1000")],
            ["SOURCE_WINDOW_SECONDS", "DAILY_MAIL_BUDGET"],
        ),
        (
            &[("DAILY_MAIL_BUDGET", "19199")],
            ["SOURCE_LIMIT", "DAILY_MAIL_BUDGET"],
        ),
        (
            &[("ADDRESS_LIMIT", "21")],
            ["ADDRESS_LIMIT", "ADDRESS_DAILY_LIMIT"],
        ),
    ] {
        let (forgot, reset) = complaints(settings);
        assert_eq!(forgot, reset);
        let told = forgot.expect("a contradiction");
        assert!(names.iter().all(|name| told.contains(name)), "{told}");
    }
    // 86 whole windows, and a part of one at each end of the day.
    let (forgot, _) = complaints(&[("SOURCE_WINDOW_SECONDS", "1000")]);
    assert!(forgot.unwrap().ends_with("it has 8800"));
    for settings in [
        &[("TOKEN_LIFETIME_MINUTES", "5"), ("COOLDOWN_SECONDS", "300")][..],
        &[("SOURCE_LIMIT", "130")],
        &[("DAILY_MAIL_BUDGET", "19200")],
        &[("ADDRESS_LIMIT", "20")],
    ] {
        assert_eq!(complaints(settings), (None, None), "{settings:?}");
    }
}

/// The other limits, so that none of them contradicts the one that is tried at one end of its range.
const SMALLEST_LIMITS: [(&str, &str); 5] = [
    ("COOLDOWN_SECONDS", "1"),
    ("SOURCE_LIMIT", "1"),
    ("SOURCE_WINDOW_SECONDS", "3600"),
    ("ADDRESS_LIMIT", "1"),
    ("ADDRESS_DAILY_LIMIT", "1"),
];
const LARGEST_LIMITS: [(&str, &str); 3] = [
    ("TOKEN_LIFETIME_MINUTES", "1440"),
    ("DAILY_MAIL_BUDGET", "100000000"),
    ("ADDRESS_DAILY_LIMIT", "1000"),
];

/// The template's parameters with a range, and the variables that they set.
const RANGES: [(&str, &str); 11] = [
    ("TokenLifetimeMinutes", "TOKEN_LIFETIME_MINUTES"),
    ("CooldownSeconds", "COOLDOWN_SECONDS"),
    ("AddressLimit", "ADDRESS_LIMIT"),
    ("AddressDailyLimit", "ADDRESS_DAILY_LIMIT"),
    ("SourceLimit", "SOURCE_LIMIT"),
    ("SourceWindowSeconds", "SOURCE_WINDOW_SECONDS"),
    ("DailyMailBudget", "DAILY_MAIL_BUDGET"),
    ("PasswordMinLength", "PASSWORD_MIN_LENGTH"),
    ("Argon2MemoryKiB", "ARGON2_MEMORY_KIB"),
    ("Argon2Iterations", "ARGON2_ITERATIONS"),
    ("Argon2Parallelism", "ARGON2_PARALLELISM"),
];

/// What the functions say of a value, with the other limits as small and as large as they can be.
fn complaints_about(variable: &str, value: &str) -> [String; 2] {
    [&SMALLEST_LIMITS[..], &LARGEST_LIMITS].map(|limits| {
        let others = limits.iter().filter(|(name, _)| *name != variable);
        let mut settings: Vec<(&str, &str)> = others.copied().collect();
        settings.push((variable, value));
        let (forgot, reset) = complaints(&settings);
        forgot.into_iter().chain(reset).collect()
    })
}

/// What the template offers as a range is what the code accepts.
#[test]
fn the_templates_bounds_are_the_codes() {
    let template = std::fs::read_to_string("template.yaml").unwrap();
    for (parameter, variable) in RANGES {
        let (_, declared) = template.split_once(&format!("\n  {parameter}:\n")).unwrap();
        let bound = |name: &str| {
            let (_, rest) = declared.split_once(&format!("    {name}: ")).unwrap();
            rest.lines().next().unwrap().parse::<i64>().unwrap()
        };
        let (min, max) = (bound("MinValue"), bound("MaxValue"));
        for value in [min, max] {
            let told = complaints_about(variable, &value.to_string());
            assert!(told.iter().any(String::is_empty), "{variable}: {told:?}");
        }
        for value in [min - 1, max + 1] {
            // The range is named: a contradiction between two limits may reject the value, too.
            let wanted =
                format!("{variable}: found \"{value}\", wanted a whole number from {min} to {max}");
            for told in complaints_about(variable, &value.to_string()) {
                assert!(told.contains(&wanted), "{wanted} in {told:?}");
            }
        }
        let (forgot, reset) = complaints(&[(variable, &bound("Default").to_string())]);
        assert_eq!((forgot, reset), (None, None), "{variable}");
    }
}

/// The table in docs/parameters.md lists the template's parameters, in their order, with their defaults.
#[test]
fn the_documentation_lists_every_parameter_with_its_default() {
    let template = std::fs::read_to_string("template.yaml").unwrap();
    let documentation = std::fs::read_to_string("docs/parameters.md").unwrap();
    let (_, parameters) = template.split_once("\nParameters:\n").unwrap();
    let (parameters, _) = parameters.split_once("\nConditions:\n").unwrap();
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let declared: Vec<&str> = parameters
        .lines()
        .filter(is_name)
        .map(|line| line.trim().trim_end_matches(':'))
        .collect();
    let rows: Vec<&str> = documentation
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let listed: Vec<&str> = rows
        .iter()
        .map(|row| row.split('`').nth(1).unwrap())
        .collect();
    assert_eq!(listed, declared);

    for (name, row) in declared.iter().zip(rows) {
        let (_, declaration) = parameters.split_once(&format!("  {name}:\n")).unwrap();
        let default = declaration
            .lines()
            .take_while(|line| !is_name(line))
            .find_map(|line| line.trim().strip_prefix("Default: "))
            .map(|default| default.trim_matches('"'))
            .filter(|default| !default.is_empty());
        let told = row.split('|').nth(2).unwrap().trim().trim_matches('`');
        if let Some(default) = default {
            assert_eq!(told, default, "{name}");
        }
    }
}
