-- An example of a users table, which `make dev USERS=postgresql` creates. Skip this file if you have a table.

CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    locale text,
    disabled_at timestamptz,
    password_hash text NOT NULL,
    password_changed_at timestamptz
);
