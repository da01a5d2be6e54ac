//! Table `consent_event`: one event of a consent; rows are only ever appended (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::ConsentEventKind;

/// A row of `consent_event`: one event of a consent; rows are only ever appended.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "consent_event")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The consent.
    pub consent_id: Uuid,
    /// What happened.
    pub kind: ConsentEventKind,
    /// When the person declared it.
    pub declared_at: Option<DateTimeUtc>,
    /// When it was recorded here.
    pub recorded_at: DateTimeUtc,
    /// Where it was declared.
    #[sea_orm(column_type = "Text", nullable)]
    pub source: Option<String>,
    /// Actor who recorded it.
    #[sea_orm(column_type = "Text")]
    pub actor: String,
    /// Kind of proof.
    #[sea_orm(column_type = "Text", nullable)]
    pub proof: Option<String>,
    /// The text declared to.
    pub consent_text_id: Option<Uuid>,
    /// Until when the declaration holds.
    pub expires_at: Option<DateTimeUtc>,
    /// The address it was declared for, as it was then; emptied when the person is erased.
    #[sea_orm(column_type = "Text", nullable)]
    pub address: Option<String>,
    /// Where the proof is: the mail that was confirmed, the number of a paper or a recording.
    #[sea_orm(column_type = "Text", nullable)]
    pub evidence: Option<String>,
    /// When it is to be reviewed.
    pub review_due_at: Option<DateTimeUtc>,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
