//! The schema of the database: the same on SQLite and PostgreSQL, and just what entities and the registry declare.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use entity::enums::{Channel, ConsentEventKind, ConsentStatus, ContactState, LegalBasis};
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbBackend, EntityTrait, IdenStatic, Iterable,
    Statement,
};
use uuid::Uuid;

use zweck::{
    db::Db,
    registry::{ENUMS, FieldSource, OBJECTS, Scalar, UNEXPOSED_TABLES},
};

use crate::support::{
    app::TestApp,
    client::Client,
    database::{TestDatabase, each},
    process::{run, text},
};

fn now() -> DateTime<Utc> {
    "2026-11-02T09:00:00.123456Z".parse().unwrap()
}

fn contact(id: Uuid) -> entity::contact::ActiveModel {
    entity::contact::ActiveModel {
        id: Set(id),
        given_name: Set(Some("Jürgen".to_owned())),
        given_name_folded: Set(Some(zweck::base::fold::fold("Jürgen"))),
        birth_date: Set(Some("1984-02-29".parse().unwrap())),
        state: Set(ContactState::Active),
        created_at: Set(now()),
        updated_at: Set(now()),
        version: Set(1),
        ..Default::default()
    }
}

async fn insert_consent(db: &DatabaseConnection) -> Uuid {
    let id = Uuid::from_u128(1);
    entity::contact::Entity::insert(contact(id)).exec(db).await.unwrap();
    entity::purpose::Entity::insert(entity::purpose::ActiveModel {
        code: Set("newsletter".to_owned()),
        title_de: Set("Rundbrief".to_owned()),
        title_en: Set("Newsletter".to_owned()),
        description_de: Set(String::new()),
        description_en: Set(String::new()),
        legal_basis: Set(Some(LegalBasis::Consent)),
        grounds: Set("consent".to_owned()),
        channels: Set("[\"EMAIL\"]".to_owned()),
        is_group: Set(false),
        revision: Set("r1".to_owned()),
        loaded_at: Set(now()),
        ..Default::default()
    })
    .exec(db)
    .await
    .unwrap();
    entity::consent::Entity::insert(entity::consent::ActiveModel {
        id: Set(Uuid::from_u128(2)),
        contact_id: Set(id),
        purpose_code: Set("newsletter".to_owned()),
        channel: Set(Channel::Email),
        status: Set(ConsentStatus::Granted),
        created_at: Set(now()),
        updated_at: Set(now()),
        ..Default::default()
    })
    .exec(db)
    .await
    .unwrap();
    entity::consent_event::Entity::insert(entity::consent_event::ActiveModel {
        id: Set(Uuid::from_u128(3)),
        consent_id: Set(Uuid::from_u128(2)),
        kind: Set(ConsentEventKind::Granted),
        recorded_at: Set(now()),
        actor: Set("test".to_owned()),
        ..Default::default()
    })
    .exec(db)
    .await
    .unwrap();
    id
}

#[tokio::test]
async fn a_row_comes_back_as_it_was_written() {
    for database in each().await {
        let id = insert_consent(&database.db.writer).await;
        let read = entity::contact::Entity::find_by_id(id).one(&database.db.reader).await.unwrap().unwrap();
        assert_eq!(read.given_name.as_deref(), Some("Jürgen"));
        assert_eq!(read.given_name_folded.as_deref(), Some("jurgen"));
        assert_eq!(read.created_at, now());
        assert_eq!(read.birth_date, Some("1984-02-29".parse().unwrap()));
        let consent = entity::consent::Entity::find_by_id(Uuid::from_u128(2))
            .one(&database.db.reader)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((consent.status, consent.channel), (ConsentStatus::Granted, Channel::Email));
    }
}

#[tokio::test]
async fn the_readers_pool_refuses_to_write() {
    for database in each().await {
        let refused =
            entity::contact::Entity::insert(contact(Uuid::from_u128(9))).exec(&database.db.reader).await;
        assert!(refused.is_err(), "the reader wrote on {:?}", database.db.backend());
        let rows = entity::contact::Entity::find().all(&database.db.writer).await.unwrap();
        assert!(rows.is_empty());
    }
}

/// `database.reader_url`: all that reads goes by that role, which may only read; all that writes by the other.
#[tokio::test]
async fn readers_come_by_an_address_of_their_own() {
    let Some(database) = TestDatabase::postgres().await else { return };
    for statement in [
        "CREATE ROLE zweck_reader LOGIN",
        "ALTER ROLE zweck_reader SET default_transaction_read_only = on",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO zweck_reader",
    ] {
        database.db.writer.execute_unprepared(statement).await.unwrap();
    }
    let reader = database.url.replace("postgres@", "zweck_reader@");
    let second = std::time::Duration::from_secs(1);
    let db = Db::connect_with_reader(&database.url, Some(&reader), 4, second).await.unwrap();
    let user = async |pool: &DatabaseConnection| {
        let statement = Statement::from_string(DbBackend::Postgres, "SELECT current_user::text");
        let row = pool.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index::<String>(0).unwrap()
    };
    assert_eq!((user(&db.reader).await, user(&db.writer).await), ("zweck_reader".into(), "postgres".into()));
    assert_eq!(db.reader_guard().await.unwrap(), zweck::db::ReaderGuard::Fast);
    // The whole of it: a person is written, and read.
    let test = TestApp::over(TestDatabase { db, url: database.url.clone(), directory: None }).await;
    let (client, caller) = (Client::of(&test), test.caller("support", "customer_care").await);
    let create = "mutation { createContact(input: {familyName: \"Saatgut\", source: {name: \"call\"}, ground: {purpose: \"customer_care\"}}) { contact { id } } }";
    client.data(&caller, create).await;
    let seen = client.data(&caller, "{ contacts { nodes { familyName } } }").await;
    assert_eq!(seen["contacts"]["nodes"][0]["familyName"], "Saatgut");
    // By the command line too.
    let directory = tempfile::tempdir().unwrap();
    let key = "07".repeat(32);
    let settings = [
        ("ZWECK__DATABASE__URL", database.url.as_str()),
        ("ZWECK__DATABASE__READER_URL", reader.as_str()),
        ("ZWECK__SECRETS__MASTER_KEY", key.as_str()),
    ];
    let listed = run(directory.path(), &settings, &["token", "list"]);
    assert!(
        listed.status.success() && text(&listed.stdout).contains("roles support"),
        "{}",
        text(&listed.stderr)
    );
    // A role that may not even read is told plainly.
    database.db.writer.execute_unprepared("CREATE ROLE zweck_nobody LOGIN CONNECTION LIMIT 0").await.unwrap();
    let nobody = database.url.replace("postgres@", "zweck_nobody@");
    let refused =
        Db::connect_with_reader(&database.url, Some(&nobody), 4, second).await.map(drop).unwrap_err();
    assert!(refused.to_string().contains("SQLSTATE 53300"), "{refused}");
}

#[tokio::test]
async fn consent_events_are_append_only_for_the_database_itself() {
    for database in each().await {
        insert_consent(&database.db.writer).await;
        for sql in ["UPDATE consent_event SET actor = 'other'", "DELETE FROM consent_event"] {
            let error = database.db.writer.execute_unprepared(sql).await.unwrap_err();
            assert!(error.to_string().contains("append-only"), "{error}");
        }
        let events = entity::consent_event::Entity::find().all(&database.db.reader).await.unwrap();
        assert_eq!(events.first().map(|event| event.actor.as_str()), Some("test"));
    }
}

#[tokio::test]
async fn references_and_words_are_checked_by_the_database() {
    for database in each().await {
        let id = insert_consent(&database.db.writer).await;
        let dangling = entity::ground::Entity::insert(entity::ground::ActiveModel {
            id: Set(Uuid::from_u128(4)),
            contact_id: Set(id),
            purpose_code: Set("no_such_purpose".to_owned()),
            since: Set(now()),
            recorded_by: Set("test".to_owned()),
            created_at: Set(now()),
            ..Default::default()
        })
        .exec(&database.db.writer)
        .await;
        assert!(dangling.is_err());
        for sql in [
            "UPDATE consent SET status = 'granted'",
            "UPDATE contact SET state = 'GONE'",
            "DELETE FROM contact",
            "DELETE FROM purpose",
        ] {
            assert!(database.db.writer.execute_unprepared(sql).await.is_err(), "{sql} was accepted");
        }
        let again = entity::consent::Entity::insert(entity::consent::ActiveModel {
            id: Set(Uuid::from_u128(5)),
            contact_id: Set(id),
            purpose_code: Set("newsletter".to_owned()),
            channel: Set(Channel::Email),
            status: Set(ConsentStatus::Withdrawn),
            created_at: Set(now()),
            updated_at: Set(now()),
            ..Default::default()
        })
        .exec(&database.db.writer)
        .await;
        assert!(again.is_err(), "two states of one consent");
    }
}

/// `table.column` of every entity.
fn declared() -> BTreeSet<String> {
    fn of<E: EntityTrait>(all: &mut BTreeSet<String>) {
        let table = E::default();
        all.extend(E::Column::iter().map(|column| format!("{}.{}", table.table_name(), column.as_str())));
    }
    let mut all = BTreeSet::new();
    of::<entity::access_token::Entity>(&mut all);
    of::<entity::audit_entry::Entity>(&mut all);
    of::<entity::audit_owed::Entity>(&mut all);
    of::<entity::consent::Entity>(&mut all);
    of::<entity::consent_event::Entity>(&mut all);
    of::<entity::consent_text::Entity>(&mut all);
    of::<entity::consent_change::Entity>(&mut all);
    of::<entity::consent_change_queue::Entity>(&mut all);
    of::<entity::contact_merge::Entity>(&mut all);
    of::<entity::import_run::Entity>(&mut all);
    of::<entity::sign_up::Entity>(&mut all);
    of::<entity::link::Entity>(&mut all);
    of::<entity::mail::Entity>(&mut all);
    of::<entity::suppression::Entity>(&mut all);
    of::<entity::stop::Entity>(&mut all);
    of::<entity::recipient_use::Entity>(&mut all);
    of::<entity::contact::Entity>(&mut all);
    of::<entity::contact_point::Entity>(&mut all);
    of::<entity::ground::Entity>(&mut all);
    of::<entity::idempotency::Entity>(&mut all);
    of::<entity::key_reader::Entity>(&mut all);
    of::<entity::master_key::Entity>(&mut all);
    of::<entity::objection::Entity>(&mut all);
    of::<entity::privacy_request::Entity>(&mut all);
    of::<entity::provenance::Entity>(&mut all);
    of::<entity::purpose::Entity>(&mut all);
    of::<entity::recipient::Entity>(&mut all);
    of::<entity::restriction::Entity>(&mut all);
    of::<entity::server::Entity>(&mut all);
    of::<entity::subject_key::Entity>(&mut all);
    all
}

/// `table.column` of the live database, but for the bookkeeping of migrations.
pub async fn live(db: &DatabaseConnection) -> BTreeSet<String> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' \
             AND table_name <> 'seaql_migrations'"
        }
        _ => {
            "SELECT m.name || '.' || c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> 'seaql_migrations'"
        }
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

#[tokio::test]
async fn every_column_is_a_field_of_an_entity_and_the_other_way_round() {
    for database in each().await {
        assert_eq!(live(&database.db.reader).await, declared());
    }
}

/// Forgetting is impossible: a column that is neither served nor listed with its reason fails here,
/// and so does a declaration without a column.
#[tokio::test]
async fn every_column_is_declared_in_the_register() {
    let mut register = BTreeSet::new();
    let mut tables: std::collections::BTreeMap<&str, BTreeSet<String>> = Default::default();
    for object in OBJECTS {
        let mut own = BTreeSet::new();
        let mut add = |column: &str| own.insert(format!("{}.{column}", object.table));
        for (column, reason) in object.unexposed_columns {
            assert!(!reason.is_empty());
            assert!(add(column), "{column} of {} is declared twice", object.name);
        }
        for field in object.fields {
            match field.source {
                // Before and after lie sealed in one column.
                FieldSource::Column { column, scalar: Scalar::Sealed { .. }, .. } => _ = add(column),
                FieldSource::Column { column, folded, .. } => {
                    assert!(add(column), "{column} of {} is declared twice", object.name);
                    folded.map(&mut add);
                }
                FieldSource::One { column, .. } => _ = add(column),
                FieldSource::Localised { de, en } => _ = (add(de), add(en)),
                FieldSource::Overdue
                | FieldSource::ReviewDue
                | FieldSource::Preference { .. }
                | FieldSource::Many { .. }
                | FieldSource::Connection { .. } => {}
            }
        }
        // Types over one table each declare all of it.
        let known = tables.entry(object.table).or_insert_with(|| own.clone());
        assert_eq!(*known, own, "{}", object.name);
        register.extend(own);
    }
    for (table, columns) in UNEXPOSED_TABLES {
        for (column, reason) in *columns {
            assert!(!reason.is_empty());
            assert!(register.insert(format!("{table}.{column}")), "{table}.{column} is declared twice");
        }
    }
    for database in each().await {
        assert_eq!(live(&database.db.reader).await, register);
    }
}

#[test]
fn names_of_the_register_are_unique_and_described() {
    let mut types = BTreeSet::new();
    for object in OBJECTS {
        assert!(types.insert(object.name), "{} twice", object.name);
        assert!(object.field(object.key).is_some(), "{} has no key", object.name);
        let mut fields = BTreeSet::new();
        for field in object.fields {
            assert!(fields.insert(field.name), "{}.{} twice", object.name, field.name);
            assert!(field.doc.ends_with('.'), "{}.{} is not described", object.name, field.name);
        }
    }
}

/// The words that a CHECK of the database accepts are the values of the SDL's enum.
#[test]
fn enums_of_the_database_are_those_of_the_register() {
    fn words<E: sea_orm::ActiveEnum<Value = String>>() -> Vec<String> {
        E::values()
    }
    for declared in ENUMS {
        let names: Vec<&str> = declared.values.iter().map(|(name, _)| *name).collect();
        let stored = match declared.name {
            "ContactState" => words::<entity::enums::ContactState>(),
            "ContactPointKind" => words::<entity::enums::ContactPointKind>(),
            "LegalBasis" => words::<LegalBasis>(),
            "Channel" => words::<Channel>(),
            "ConsentStatus" => words::<ConsentStatus>(),
            "ConsentEventKind" => words::<ConsentEventKind>(),
            "ConsentChangeKind" => words::<entity::enums::ConsentChangeKind>(),
            "RequestKind" => words::<entity::enums::RequestKind>(),
            "RequestStatus" => words::<entity::enums::RequestStatus>(),
            "RecipientKind" => words::<entity::enums::RecipientKind>(),
            "RestrictionLimb" => words::<entity::enums::RestrictionLimb>(),
            // An objection is a type of its own over the same table.
            "BlockKind" => words::<entity::enums::StopKind>().split_off(1),
            "AuditOutcome" => words::<entity::enums::AuditOutcome>(),
            other => panic!("{other} has no enum in the database"),
        };
        assert_eq!(stored, names, "{}", declared.name);
    }
}

#[tokio::test]
async fn an_address_of_another_kind_is_refused() {
    for url in ["sqlite://:memory:", "sqlite://", "mysql://localhost/x", "zweck.db"] {
        assert!(zweck::db::Db::connect(url, 1).await.is_err(), "{url} was accepted");
    }
}

/// What a consent is bound to is in an index, which takes no more than some 2,700 bytes: what is longest fits.
#[tokio::test]
async fn keys_of_the_longest_addresses_fit_their_index() {
    let mut letters = (0..2_000_u32).filter_map(|number| char::from_u32(0x4e00 + number * 7919 % 20_000));
    let mut part = || letters.by_ref().take(500).collect::<String>();
    let parts = [part(), part(), part(), part()];
    let whole = zweck::base::fold::address(parts.each_ref().map(|part| Some(part.as_str()))).unwrap();
    let almost = zweck::base::fold::address([Some(&parts[0][..996]), None, None, None]).unwrap();
    assert_eq!((almost.len(), whole.len()), (999, 71));
    for database in each().await {
        insert_consent(&database.db.writer).await;
        for key in [&whole, &almost] {
            let bound = entity::consent::ActiveModel {
                id: Set(Uuid::from_u128(2)),
                bound_address: Set(Some(key.clone())),
                ..Default::default()
            };
            let row = entity::consent::Entity::update(bound).exec(&database.db.writer).await.unwrap();
            assert_eq!(row.bound_address.as_ref(), Some(key));
        }
    }
}

/// Every migration can be taken back, and done again to the same schema.
#[tokio::test]
async fn migrations_go_back_and_forth() {
    use migration::{Migrator, MigratorTrait};
    for database in each().await {
        let before = live(&database.db.reader).await;
        Migrator::down(&database.db.writer, None).await.unwrap();
        assert_eq!(live(&database.db.writer).await, BTreeSet::new());
        database.db.migrate().await.unwrap();
        assert_eq!(live(&database.db.writer).await, before);
    }
}

/// Of a row that everybody may see, and that another names by its key, the key is written without looking: the database itself
/// holds that the row is there.
#[tokio::test]
async fn what_is_named_by_its_key_is_there() {
    for test in each().await {
        let mut named = 0;
        for object in OBJECTS {
            for field in object.fields {
                let FieldSource::One { object: other, column } = field.source else { continue };
                if other.rows != zweck::registry::RowRule::Everyone {
                    continue;
                }
                named += 1;
                let (table, key) = (object.table, other.key_column());
                let query = match test.db.backend() {
                    DbBackend::Sqlite => format!(
                        "SELECT 1 FROM pragma_foreign_key_list('{table}') WHERE \"from\" = '{column}' \
                         AND \"table\" = '{}' AND \"to\" = '{key}'",
                        other.table
                    ),
                    _ => format!(
                        "SELECT 1 FROM pg_constraint c \
                         JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum] \
                         JOIN pg_attribute b ON b.attrelid = c.confrelid AND c.confkey = ARRAY[b.attnum] \
                         WHERE c.contype = 'f' AND c.conrelid = '{table}'::regclass AND a.attname = '{column}' \
                         AND c.confrelid = '{}'::regclass AND b.attname = '{key}'",
                        other.table
                    ),
                };
                let found = test.db.reader.query_one_raw(Statement::from_string(test.db.backend(), query));
                assert!(
                    found.await.unwrap().is_some(),
                    "{table}.{column} is no reference to {}",
                    other.table
                );
            }
        }
        assert!(named > 5);
    }
}
