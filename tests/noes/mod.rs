//! A no is a no: by whatever door it comes, for every record of the mailbox.

mod addresses;
mod clicks;
mod crowd;
mod histories;
mod kinds;
mod matrix;
mod meanwhile;
mod old;
mod rounds;

use serde_json::{Value, json};

use crate::{
    support::client::{Caller, Client},
    writes::done,
};

/// Which of the contacts the caller sees.
async fn sees(client: &Client, caller: &Caller, contacts: &[String]) -> Vec<bool> {
    let asked = contacts.iter().enumerate();
    let query: String =
        asked.map(|(at, contact)| format!("c{at}: contact(id: \"{contact}\") {{ id }} ")).collect();
    let data = client.data(caller, &format!("{{ {query} }}")).await;
    (0..contacts.len()).map(|at| !data[format!("c{at}")].is_null()).collect()
}

/// Records a yes to a purpose; the id of the consent.
async fn yes(
    client: &Client,
    caller: &Caller,
    contact: &str,
    (purpose, channel): (&str, &str),
    at: &str,
) -> String {
    let input = json!({ "contactId": contact, "purpose": purpose, "channel": channel, "textVersion": "2026-1",
        "language": "de", "proof": "signed_paper", "declaredAt": at, "source": "fair" });
    let made = done(client, caller, "recordConsent", input, "consent { id }").await;
    made["consent"]["id"].as_str().unwrap().to_owned()
}

/// Makes a contact; its id.
async fn contact(client: &Client, caller: &Caller, values: Value) -> String {
    let mut input = values;
    input["source"] = json!({ "name": "call" });
    let made = done(client, caller, "createContact", input, "contact { id }").await;
    made["contact"]["id"].as_str().unwrap().to_owned()
}
