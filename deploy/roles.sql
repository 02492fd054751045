-- Run once by psql as a superuser, before the first migration. Passwords come from the environment.
--
--   rollcall         owns the database and migrates it
--   rollcall_run     what a worker may do       rollcall_worker is one
--   rollcall_read    what a look-up may do      rollcall_lookup is one
\set ON_ERROR_STOP on
\getenv owner_password OWNER_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv lookup_password LOOKUP_PASSWORD

CREATE ROLE rollcall LOGIN PASSWORD :'owner_password';
CREATE ROLE rollcall_run NOLOGIN;
CREATE ROLE rollcall_read NOLOGIN;
CREATE ROLE rollcall_worker LOGIN PASSWORD :'worker_password' IN ROLE rollcall_run;
CREATE ROLE rollcall_lookup LOGIN PASSWORD :'lookup_password' IN ROLE rollcall_read;

CREATE DATABASE rollcall OWNER rollcall TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE rollcall FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE rollcall TO rollcall_run; -- a run compares in a temporary table
GRANT CONNECT ON DATABASE rollcall TO rollcall_read;
