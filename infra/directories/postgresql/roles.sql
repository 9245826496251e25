-- The roles of the two functions. Run this once, as the owner of `users`: psql --set=ON_ERROR_STOP=1 --file=roles.sql
-- Neither role can read a hash, change an address, or delete a user.

CREATE ROLE rekey_find LOGIN;
GRANT SELECT (id, email, locale, disabled_at) ON users TO rekey_find;

-- A locked row must not hold a function until its own timeout. After lock_timeout, nothing was done, and Rekey keeps the
-- link. So it is shorter than statement_timeout.
CREATE ROLE rekey_replace LOGIN;
GRANT SELECT (id, email, disabled_at, password_changed_at), UPDATE (password_hash, password_changed_at)
    ON users TO rekey_replace;
ALTER ROLE rekey_replace SET lock_timeout = '3s';

ALTER ROLE rekey_find SET statement_timeout = '5s';
ALTER ROLE rekey_replace SET statement_timeout = '5s';

-- Both statements compare lower(email). It is unique, unless two accounts may share an address.
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_lower_email ON users (lower(email));
