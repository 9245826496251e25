//! The two tables: expiry, the email index, and deletion protection.

use aws_sdk_dynamodb::types::TimeToLiveStatus;
use serde_json::{Value, json};

use crate::policies::resources;
use crate::stack::{Stack, variable};

#[tokio::test]
async fn expired_rows_are_deleted_and_the_email_index_hides_hashes() {
    let stack = Stack::new();
    let ttl = stack
        .dynamodb
        .describe_time_to_live()
        .table_name(variable("REKEY_TABLE"))
        .send()
        .await
        .unwrap();
    let ttl = ttl.time_to_live_description.unwrap();
    assert_eq!(ttl.attribute_name.as_deref(), Some("expires_at"));
    assert_eq!(ttl.time_to_live_status, Some(TimeToLiveStatus::Enabled));

    let users = stack
        .dynamodb
        .describe_table()
        .table_name(variable("USERS_TABLE"))
        .send()
        .await
        .unwrap()
        .table
        .unwrap();
    let index = users.global_secondary_indexes().first().unwrap();
    let projection = index
        .projection
        .as_ref()
        .unwrap()
        .projection_type
        .as_ref()
        .unwrap();
    assert_eq!(
        projection.as_str(),
        "KEYS_ONLY",
        "a lookup by address must not reveal a hash"
    );
}

/// A failed first deployment deletes what it created. CloudFormation cannot delete a protected table.
#[test]
fn only_the_users_table_is_protected_from_deletion() {
    let resources = resources();
    let protected = |table: &str| &resources[table]["Properties"]["DeletionProtectionEnabled"];
    assert_eq!(protected("RekeyTable"), &Value::Null);
    assert_eq!(
        protected("UsersTable"),
        &json!({ "Ref": "DeletionProtection" })
    );
    assert_eq!(resources["UsersTable"]["DeletionPolicy"], "Retain");
}
