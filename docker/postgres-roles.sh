#!/usr/bin/env bash
# Makes the database and its two users, once, when Postgres starts with an empty volume.
# affectstream owns the database: the workers make and upgrade the tables themselves.
# affectstream_writer is for other users who write: `affectstream db roles --apply` opens the tables to it. It is made here
# since the owner may not make roles, and since a dump that names a role can only be restored where that role is.
# affectstream_grafana reads only. It sees the views, and no table: each view is opened to its role as it is made.
set -euo pipefail
: "${DATABASE_PASSWORD:?}" "${READER_PASSWORD:?}"

psql --set ON_ERROR_STOP=1 --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv database_password DATABASE_PASSWORD
\getenv reader_password READER_PASSWORD
CREATE ROLE affectstream LOGIN PASSWORD :'database_password';
CREATE ROLE affectstream_writer NOLOGIN;
CREATE ROLE affectstream_reader NOLOGIN;
CREATE ROLE affectstream_grafana LOGIN PASSWORD :'reader_password' CONNECTION LIMIT 20 IN ROLE affectstream_reader;
ALTER ROLE affectstream_grafana SET default_transaction_read_only = on;
ALTER ROLE affectstream_grafana SET statement_timeout = '30s';
ALTER ROLE affectstream_grafana SET jit = off; -- compiling a question takes longer than answering it
CREATE DATABASE affectstream OWNER affectstream;
REVOKE ALL ON DATABASE affectstream FROM PUBLIC;
GRANT CONNECT ON DATABASE affectstream TO affectstream_reader;
GRANT CONNECT, TEMPORARY ON DATABASE affectstream TO affectstream_writer;
\connect affectstream
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO affectstream;
GRANT USAGE ON SCHEMA public TO affectstream_reader;

CREATE FUNCTION open_views_to_reader() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE made record;
BEGIN
    FOR made IN SELECT object_identity FROM pg_event_trigger_ddl_commands()
        WHERE object_type = 'view' AND schema_name = 'public'
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO affectstream_reader', made.object_identity);
    END LOOP;
END $$;
CREATE EVENT TRIGGER open_views_to_reader ON ddl_command_end WHEN TAG IN ('CREATE VIEW')
    EXECUTE FUNCTION open_views_to_reader();
SQL
