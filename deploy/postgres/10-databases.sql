-- Run once by the image of PostgreSQL, as its superuser, before anybody else can connect. Each program has a user of its
-- own that owns its databases and may do nothing else, but that `orimono restore` prepares databases beside those of the
-- house and renames them: so the house's user may make databases, and connect to the one from where that is done. It owns
-- its databases and could drop them anyway. Passwords are read from the secrets and stand in no command line.
\set ON_ERROR_STOP on
\set database_password `cat /run/secrets/database_password`
\set airflow_database_password `cat /run/secrets/airflow_database_password`

create role orimono login createdb password :'database_password';
create role airflow login password :'airflow_database_password';

create database orimono owner orimono encoding 'UTF8' template template0;
create database orimono_dagster owner orimono encoding 'UTF8' template template0;
create database airflow owner airflow encoding 'UTF8' template template0;

revoke connect on database postgres from public;
grant connect on database postgres to orimono;
revoke connect on database orimono from public;
revoke connect on database orimono_dagster from public;
revoke connect on database airflow from public;

\connect orimono
create extension vector;

-- Only a superuser may create it, so that the databases which the house makes itself come with it.
\connect template1
create extension vector;
