//! Functions check their settings at start-up. Each error names the setting, the expected value, and the actual one.

use forgot::Forgot;
use reset::Reset;

use support::deployment::{environment, long_timeouts, sdk_config};
use support::template;

fn start_errors(replaced: &[(&str, &str)]) -> (Option<String>, Option<String>) {
    let sdk = sdk_config("http://127.0.0.1:1", long_timeouts());
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
fn the_test_apps_settings_are_valid() {
    assert_eq!(start_errors(&[]), (None, None));
}

#[test]
fn every_invalid_setting_is_reported_at_once() {
    let (forgot, _) = start_errors(&[
        ("RESET_URLS", "http://app.example.com/"),
        ("TOKEN_LIFETIME_MINUTES", "4"),
        ("MAIL_FROM_ADDRESS", "nobody"),
        ("COOLDOWN_SECONDS", "0"),
        ("PRODUCT_NAME", ""),
    ]);
    let error = forgot.unwrap();
    for part in [
        "RESET_URLS: expected absolute https URLs (http for localhost), separated by commas, without wildcards, user info, \
         a fragment that is not a path, or an email or token parameter, got \"http://app.example.com/\"",
        "TOKEN_LIFETIME_MINUTES: expected a whole number from 5 to 1440, got \"4\"",
        "MAIL_FROM_ADDRESS: expected one email address in lower case, like no-reply@example.com, got \"nobody\"",
        "COOLDOWN_SECONDS: expected a whole number from 1 to 3600, got \"0\"",
        "PRODUCT_NAME: is not set",
    ] {
        assert!(error.contains(part), "{part} in {error}");
    }
}

/// IAM compares the sender in the policy with the one in the email, byte by byte, and Rekey sends addresses in lower
/// case. A capital letter would only fail later, as a denied call.
#[test]
fn a_sender_with_a_capital_letter_is_rejected_at_start_up() {
    let (forgot, _) = start_errors(&[("MAIL_FROM_ADDRESS", "No-Reply@example.com")]);
    assert!(forgot.unwrap().contains("MAIL_FROM_ADDRESS"));
    for parameter in ["MailFromAddress", "MailIdentity"] {
        let declared = template::parameter(parameter);
        let pattern = declared.value("AllowedPattern").unwrap();
        let pattern = pattern.replace("^[^\\sA-Z", "^[^");
        assert!(!pattern.contains("A-Z"), "{parameter}: {pattern}");
    }
}

/// A stream keeps records for 24 hours. A record that Lambda discards later than that cannot reach the failure queue.
#[test]
fn lambda_discards_records_before_the_stream_deletes_them() {
    let ages = template::values("MaximumRecordAgeInSeconds");
    let ages: Vec<u32> = ages.iter().map(|age| age.parse().unwrap()).collect();
    assert_eq!(ages.len(), 2);
    assert!(ages.iter().all(|age| *age <= 23 * 3600), "{ages:?}");
}

#[test]
fn weak_hashing_is_rejected() {
    for (weak, value) in [
        ("ARGON2_MEMORY_KIB", "19455"),
        ("ARGON2_ITERATIONS", "1"),
        ("PASSWORD_MIN_LENGTH", "7"),
    ] {
        let (_, reset) = start_errors(&[(weak, value)]);
        assert!(reset.unwrap().contains(weak));
    }
}

#[test]
fn cors_origins_must_include_the_origins_of_the_reset_urls() {
    let (forgot, _) = start_errors(&[("RESET_URL_ORIGINS", "https://www.example.com")]);
    let expected = "RESET_URL_ORIGINS: expected a list that includes every origin of RESET_URLS \
                (missing: https://app.example.com), got \"https://www.example.com\"";
    assert!(forgot.unwrap().ends_with(expected));
}

#[test]
fn contradictory_limits_are_rejected_by_both_names() {
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
        let (forgot, reset) = start_errors(settings);
        assert_eq!(forgot, reset);
        let error = forgot.expect("a contradiction");
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
    }
    // A day has 86 whole windows, and a part of one at each end.
    let (forgot, _) = start_errors(&[("SOURCE_WINDOW_SECONDS", "1000")]);
    assert!(forgot.unwrap().contains("instead of 8800"));
    for settings in [
        &[("TOKEN_LIFETIME_MINUTES", "5"), ("COOLDOWN_SECONDS", "300")][..],
        &[("SOURCE_LIMIT", "130")],
        &[("DAILY_MAIL_BUDGET", "19200")],
        &[("ADDRESS_LIMIT", "20")],
    ] {
        assert_eq!(start_errors(settings), (None, None), "{settings:?}");
    }
}

#[test]
fn contradictory_layouts_are_rejected_by_both_names() {
    for (settings, names) in [
        (
            &[("USERS_SORT_KEY_PREFIX", "PROFILE")][..],
            &["USERS_SORT_KEY_PREFIX", "USERS_SORT_KEY_ATTRIBUTE"],
        ),
        (
            &[("USERS_STATUS_ATTRIBUTE", "status")],
            &["USERS_STATUS_ATTRIBUTE", "USERS_STATUS_ACTIVE"],
        ),
        (
            &[("USERS_STATUS_ACTIVE", "ACTIVE")],
            &["USERS_STATUS_ACTIVE", "USERS_STATUS_ATTRIBUTE"],
        ),
        (
            &[("USERS_NAME_ATTRIBUTE", "password_hash")],
            &["USERS_NAME_ATTRIBUTE", "USERS_PASSWORD_ATTRIBUTE"],
        ),
        (
            &[("USERS_CHANGED_ATTRIBUTE", "email")],
            &["USERS_CHANGED_ATTRIBUTE", "USERS_EMAIL_ATTRIBUTE"],
        ),
        (
            &[("USERS_SORT_KEY_ATTRIBUTE", "id")],
            &["USERS_SORT_KEY_ATTRIBUTE", "USERS_KEY_ATTRIBUTE"],
        ),
        (
            &[
                ("USERS_KEY_ATTRIBUTE", "email"),
                ("USERS_KEY_PREFIX", "USER#"),
            ],
            &["USERS_EMAIL_FORMAT", "USERS_KEY_PREFIX"],
        ),
    ] {
        let (forgot, reset) = start_errors(settings);
        assert_eq!(forgot, reset);
        let error = forgot.expect("a contradiction");
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
    }
    for settings in [
        &[("USERS_KEY_ATTRIBUTE", "email")][..],
        // An index may begin with the table's sort key.
        &[("USERS_SORT_KEY_ATTRIBUTE", "email")],
        &[
            ("USERS_KEY_ATTRIBUTE", "email"),
            ("USERS_KEY_PREFIX", "USER#"),
            ("USERS_EMAIL_FORMAT", "USER#{email}"),
        ],
    ] {
        assert_eq!(start_errors(settings), (None, None), "{settings:?}");
    }
}

#[test]
fn an_invalid_layout_is_rejected() {
    for (variable, invalid) in [
        // IAM would read these as wildcards or variables.
        ("USERS_KEY_PREFIX", "USER*"),
        ("USERS_KEY_PREFIX", "${aws:username}"),
        ("USERS_KEY_PREFIX", "USER #"),
        ("USERS_EMAIL_FORMAT", "USER#"),
        ("USERS_EMAIL_FORMAT", "{email}{email}"),
        ("USERS_CHANGED_FORMAT", "minutes"),
        ("USERS_STATUS_ACTIVE", "A, B"),
    ] {
        let status = ("USERS_STATUS_ATTRIBUTE", "status");
        let (forgot, reset) = start_errors(&[(variable, invalid), status]);
        let error = forgot.clone().unwrap();
        assert_eq!(forgot, reset);
        assert!(error.contains(&format!("{variable}: expected")), "{error}");
    }
}

/// The other limits, which must not contradict the limit under test at an end of its range.
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
const RANGES: [(&str, &str); 13] = [
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
    ("BcryptCost", "BCRYPT_COST"),
    ("Pbkdf2Iterations", "PBKDF2_ITERATIONS"),
];

/// Returns the functions' errors about a value, with the other limits at their smallest and at their largest.
fn errors_with(variable: &str, value: &str) -> [String; 2] {
    [&SMALLEST_LIMITS[..], &LARGEST_LIMITS].map(|limits| {
        let others = limits.iter().filter(|(name, _)| *name != variable);
        let mut settings: Vec<(&str, &str)> = others.copied().collect();
        settings.push((variable, value));
        let (forgot, reset) = start_errors(&settings);
        forgot.into_iter().chain(reset).collect()
    })
}

#[test]
fn the_template_and_the_code_accept_the_same_ranges() {
    for (parameter, variable) in RANGES {
        let declared = template::parameter(parameter);
        let bound = |name: &str| declared.number::<i64>(name);
        let (min, max) = (bound("MinValue"), bound("MaxValue"));
        for value in [min, max] {
            let errors = errors_with(variable, &value.to_string());
            assert!(
                errors.iter().any(String::is_empty),
                "{variable}: {errors:?}"
            );
        }
        for value in [min - 1, max + 1] {
            // Expect the range in the error, because a contradiction between two limits may also reject the value.
            let expected =
                format!("{variable}: expected a whole number from {min} to {max}, got \"{value}\"");
            for error in errors_with(variable, &value.to_string()) {
                assert!(error.contains(&expected), "{expected} in {error:?}");
            }
        }
        let (forgot, reset) = start_errors(&[(variable, &bound("Default").to_string())]);
        assert_eq!((forgot, reset), (None, None), "{variable}");
    }
}

/// The table in docs/parameters.md lists the template's parameters, in their order, with their defaults.
#[test]
fn the_documentation_lists_every_parameter_with_its_default() {
    let documentation = std::fs::read_to_string("docs/parameters.md").unwrap();
    let declared = template::parameters();
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
        let parameter = template::parameter(name);
        let default = parameter.value("Default");
        let default = default.filter(|default| !default.is_empty());
        let documented = row.split('|').nth(2).unwrap().trim().trim_matches('`');
        if let Some(default) = default {
            assert_eq!(documented, default, "{name}");
        }
    }
}
