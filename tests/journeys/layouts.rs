//! Users tables as they are found: Rekey resets the password of the right item, and touches no other.

mod change_times;
mod details;
mod items;
mod keys;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use support::app::TestApp;
use support::deployment::{ADA, KeyTypes, PASSWORD, WIDE_LIMITS, recreate_users_table};
use support::template;

use items::{Item, Users, item};

const EVE: &str = "eve@example.com";

/// The presets of docs/directories.md.
const AUTH_JS: &str = "\
Auth.js      UsersKeyAttribute=pk UsersKeyPrefix=USER# UsersSortKeyAttribute=sk UsersSortKeyPrefix=USER#
             UsersEmailAttribute=GSI1PK UsersEmailFormat=USER#{email} UsersEmailIndex=GSI1
";
const ELECTRO_DB: &str = "\
ElectroDB    UsersKeyAttribute=pk UsersKeyPrefix=$app#userid_ UsersSortKeyAttribute=sk UsersSortKeyPrefix=$user_1
             UsersEmailAttribute=gsi1pk UsersEmailFormat=$app#email_{email} UsersEmailIndex=gsi1pk-gsi1sk-index
";
const ASP_NET: &str = "\
ASP.NET      UsersKeyAttribute=Id UsersEmailAttribute=NormalizedEmail UsersEmailFormat={EMAIL}
             UsersPasswordAttribute=PasswordHash PasswordHash=pbkdf2-aspnet
";

/// A single table in the style of "The DynamoDB Book": each item has its type in its sort key.
const SINGLE_TABLE: &str = "\
UsersKeyAttribute=PK
UsersKeyPrefix=USER#
UsersSortKeyAttribute=SK
UsersSortKeyPrefix=PROFILE
UsersEmailAttribute=GSI1PK
UsersEmailFormat=EMAIL#{email}
UsersEmailIndex=GSI1
";

/// A single table whose index on `email` also finds the item that makes addresses unique.
const UNIQUENESS_ITEM: &str = "\
UsersKeyAttribute=PK
UsersKeyPrefix=USER#
UsersSortKeyAttribute=SK
UsersSortKeyPrefix=PROFILE
UsersEmailAttribute=email
UsersEmailIndex=by-email
";

#[test]
fn the_documentation_has_the_presets_that_are_tested() {
    let documentation = std::fs::read_to_string("docs/directories.md").unwrap();
    let presets = [AUTH_JS, ELECTRO_DB, ASP_NET].concat();
    assert!(documentation.contains(&format!("```\n{presets}```\n")));
}

#[tokio::test]
async fn a_plain_table() {
    let user = |id: &str, email: &str| item(&[("id", id), ("email", email)]);
    // Every item of a plain table that has the address is a user, so the uniqueness item has it in its key alone.
    let others = [item(&[("id", "email#ada@example.com")])];
    resets_the_right_item("", KeyTypes::default(), user, &others).await;
}

#[tokio::test]
async fn the_address_as_the_key() {
    let user = |_: &str, email: &str| item(&[("email", email)]);
    let others = [item(&[("email", "unique#ada@example.com")])];
    let settings = "UsersKeyAttribute=email";
    resets_the_right_item(settings, KeyTypes::default(), user, &others).await;
}

#[tokio::test]
async fn the_address_as_the_key_beside_more_items_than_a_page() {
    let settings = "UsersKeyAttribute=PK UsersKeyPrefix=USER# UsersSortKeyAttribute=SK UsersSortKeyPrefix=PROFILE \
                    UsersEmailAttribute=PK UsersEmailFormat=USER#{email}";
    let user = |_: &str, email: &str| item(&[("PK", &format!("USER#{email}")), ("SK", "PROFILE")]);
    let mut others = vec![item(&[
        ("PK", "USEREMAIL#ada@example.com"),
        ("SK", "USEREMAIL"),
    ])];
    others.extend((0..30).map(|n| {
        item(&[
            ("PK", "USER#ada@example.com"),
            ("SK", &format!("ORDER#{n}")),
        ])
    }));
    resets_the_right_item(settings, KeyTypes::default(), user, &others).await;
}

#[tokio::test]
async fn auth_js() {
    let of = |pk: &str, sk: &str, index_key: &str, index_sort: &str| {
        item(&[
            ("pk", pk),
            ("sk", sk),
            ("GSI1PK", index_key),
            ("GSI1SK", index_sort),
        ])
    };
    let user = move |id: &str, email: &str| {
        let (id, email) = (format!("USER#{id}"), format!("USER#{email}"));
        of(&id, &id, &email, &email)
    };
    let others = [
        of("USER#1", "ACCOUNT#google#7", "ACCOUNT#google", "ACCOUNT#7"),
        of("USER#1", "SESSION#x", "SESSION#x", "SESSION#x"),
        of("VT#ada@example.com", "VT#x", "USER#ada@example.com", "VT#x"),
        of(
            "UNIQUE#ada@example.com",
            "USER#x",
            "USER#ada@example.com",
            "x",
        ),
    ];
    let types = KeyTypes {
        index_sort_key: Some("GSI1SK"),
        ..KeyTypes::default()
    };
    resets_the_right_item(AUTH_JS, types, user, &others).await;
}

#[tokio::test]
async fn a_single_table() {
    let user = |id: &str, email: &str| {
        item(&[
            ("PK", &format!("USER#{id}")),
            ("SK", "PROFILE"),
            ("GSI1PK", &format!("EMAIL#{email}")),
        ])
    };
    let of =
        |pk: &str, sk: &str| item(&[("PK", pk), ("SK", sk), ("GSI1PK", "EMAIL#ada@example.com")]);
    let others = [
        of("USER#1", "ORDER#1"),
        of("USER#1", "ADDRESS"),
        of("USEREMAIL#ada@example.com", "PROFILE"),
        of("ORG#1", "PROFILE"),
    ];
    resets_the_right_item(SINGLE_TABLE, KeyTypes::default(), user, &others).await;
}

#[tokio::test]
async fn a_uniqueness_item_with_the_same_attribute() {
    let user = |id: &str, email: &str| {
        item(&[
            ("PK", &format!("USER#{id}")),
            ("SK", "PROFILE"),
            ("email", email),
        ])
    };
    let of = |pk: &str, sk: &str| item(&[("PK", pk), ("SK", sk), ("email", ADA)]);
    let others = [
        of("USEREMAIL#ada@example.com", "USEREMAIL#ada@example.com"),
        of("USEREMAIL#ada@example.com", "PROFILE"),
        of("USER#1", "INVITATION#1"),
    ];
    resets_the_right_item(UNIQUENESS_ITEM, KeyTypes::default(), user, &others).await;
}

#[tokio::test]
async fn electro_db() {
    let of = |pk: &str, sk: &str, email: &str| {
        let email = format!("$app#email_{email}");
        item(&[("pk", pk), ("sk", sk), ("gsi1pk", &email), ("gsi1sk", sk)])
    };
    let user = move |id: &str, email: &str| of(&format!("$app#userid_{id}"), "$user_1", email);
    let others = [
        of("$app#userid_1", "$order_1#orderid_7", ADA),
        of("$app#orgid_1", "$user_1", ADA),
        of("$app#useremail_ada@example.com", "$useremail_1", ADA),
    ];
    let types = KeyTypes {
        index_sort_key: Some("gsi1sk"),
        ..KeyTypes::default()
    };
    resets_the_right_item(ELECTRO_DB, types, user, &others).await;
}

#[tokio::test]
async fn asp_net_identity() {
    let user = |id: &str, email: &str| {
        let normalized = email.to_uppercase();
        item(&[
            ("Id", id),
            ("Email", email),
            ("NormalizedEmail", &normalized),
        ])
    };
    let others = [item(&[("Id", "EMAIL#ADA@EXAMPLE.COM")])];
    resets_the_right_item(ASP_NET, KeyTypes::default(), user, &others).await;
}

#[tokio::test]
async fn an_address_in_mixed_case_is_not_found() {
    let app = TestApp::open().await;
    app.user("1", "Ada@Example.com").await;
    for typed in [ADA, "Ada@Example.com"] {
        app.forgot(typed).await;
        app.process_stream().await;
    }
    assert_eq!(app.aws.emails().len(), 0);
    assert!(app.events().contains(&"UnknownAddresses".to_owned()));
}

/// Without a prefix, every item with the address is a user.
#[tokio::test]
async fn a_uniqueness_item_that_looks_like_a_user_makes_the_address_ambiguous() {
    let app = TestApp::with_ada().await;
    app.user("email#ada@example.com", ADA).await;
    app.forgot(ADA).await;
    app.process_stream().await;
    assert_eq!(app.aws.emails().len(), 0);
}

/// Rekey does not page through an index: ten items could hide a second user.
#[tokio::test]
async fn an_address_with_ten_items_in_the_index_is_ambiguous() {
    for (others, emails) in [(8, 1), (9, 0)] {
        let app = TestApp::with(&settings(UNIQUENESS_ITEM)).await;
        let users = Users::new(&app);
        users
            .put(&item(&[
                ("PK", "USER#1"),
                ("SK", "PROFILE"),
                ("email", ADA),
            ]))
            .await;
        for n in 0..others {
            users
                .put(&item(&[
                    ("PK", "USER#1"),
                    ("SK", &format!("ORDER#{n}")),
                    ("email", ADA),
                ]))
                .await;
        }
        app.forgot(ADA).await;
        app.process_stream().await;
        assert_eq!(app.aws.emails().len(), emails, "{others}");
    }
}

/// Resets the passwords of two users among other items, and checks that only theirs changed.
async fn resets_the_right_item(
    parameters: &'static str,
    types: KeyTypes,
    user: impl Fn(&str, &str) -> Item,
    others: &[Item],
) {
    let settings = [settings(parameters), WIDE_LIMITS.into()].concat();
    let app = TestApp::with(&settings).await;
    recreate_users_table(&app.dynamodb, &app.settings, &types).await;
    let users = Users::new(&app);
    let (ada, eve) = (user("1", ADA), user("2", EVE));
    for item in [&ada, &eve].into_iter().chain(others) {
        users.put(item).await;
    }
    for (email, id) in [(ADA, &ada), (EVE, &eve)] {
        let before = users.all_but(id).await;
        let link = app.link(email).await;
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 204, "{email}");
        assert_eq!(app.reset(&link, PASSWORD).await.status(), 422, "{email}");
        users.assert_replaced(id).await;
        assert_eq!(users.all_but(id).await, before, "{email}");
        app.process_stream().await;
    }
    app.forgot("unknown@example.com").await;
    app.process_stream().await;
    assert_eq!(app.aws.emails().len(), 4);
    a_link_re_creates_no_deleted_user(&app, &users, &ada).await;
}

/// A link ends with its user, and re-creates no item.
async fn a_link_re_creates_no_deleted_user(app: &TestApp, users: &Users<'_>, ada: &Item) {
    // The request must not fall within the cooldown of the last one.
    app.clock.advance(SignedDuration::from_mins(2));
    let link = app.link(ADA).await;
    users.delete(ada).await;
    let before = users.all().await;
    assert_eq!(app.reset(&link, PASSWORD).await.status(), 422);
    assert_eq!(users.all().await, before);
}

/// Converts parameters, as a deployment would set them, to the variables that the template sets.
fn settings(parameters: &'static str) -> Vec<(&'static str, &'static str)> {
    let pairs = parameters.split_whitespace();
    let pairs = pairs.filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(parameter, value)| (variable(parameter), value))
        .collect()
}

/// Returns the variable that the template sets to a parameter.
fn variable(parameter: &str) -> &'static str {
    let reference = format!(": !Ref {parameter}");
    let template = template::text();
    let is_variable =
        |name: &&str| !name.contains(|character: char| character.is_ascii_lowercase());
    let mut lines = template
        .lines()
        .filter_map(|line| line.trim_start().strip_suffix(&reference));
    let name = lines.find(is_variable);
    let name = name.unwrap_or_else(|| panic!("no variable has {parameter}"));
    String::leak(name.to_owned())
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}
