//! The older protocol: forms are read to the parameters that the JSON protocol has, and answers written as XML.

use std::{collections::BTreeMap, fmt::Write as _};

use errand_api::{Request, query_pairs};
use serde_json::{Map, Value};

use super::error::{Error, SERIALIZATION};

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

/// A parameter whose name is a path: `SendMessageBatchRequestEntry.1.MessageAttribute.2.Value.StringValue`.
#[derive(Default)]
struct Node {
    text: Option<String>,
    parts: BTreeMap<String, Node>,
}

/// How a list or a map of the JSON protocol is written: what stands before the numbers, and in the elements of answers.
const LISTS: [(&str, &str); 5] = [
    ("AttributeName", "AttributeNames"),
    ("MessageAttributeName", "MessageAttributeNames"),
    ("MessageSystemAttributeName", "MessageSystemAttributeNames"),
    ("QueueUrl", "QueueUrls"),
    ("Message", "Messages"),
];
const MAPS: [(&str, &str); 3] =
    [("Attribute", "Attributes"), ("MessageAttribute", "MessageAttributes"), ("MessageSystemAttribute", "MessageSystemAttributes")];
const ENTRIES: &str = "BatchRequestEntry";

/// The operations that answer nothing; any other's answer is there, even if it is empty.
const SILENT: [&str; 3] = ["ChangeMessageVisibility", "DeleteMessage", "PurgeQueue"];

/// The operation and its parameters.
pub(super) fn read(request: &Request) -> Result<(String, Value), Error> {
    let form = std::str::from_utf8(request.body()).map_err(|_| Error::new(SERIALIZATION, "the body is not UTF-8"))?;
    let mut root = Node::default();
    for (name, value) in query_pairs(request.uri().query().unwrap_or_default()).chain(query_pairs(form)) {
        let leaf = name.split('.').fold(&mut root, |node, part| node.parts.entry(part.to_owned()).or_default());
        leaf.text = Some(value);
    }
    let action = root.parts.remove("Action").and_then(|action| action.text).ok_or_else(|| Error::missing("Action"))?;
    Ok((action, root.value()))
}

impl Node {
    /// As the JSON protocol has it.
    fn value(self) -> Value {
        if let Some(text) = self.text {
            return Value::String(text);
        }
        let mut object = Map::new();
        for (name, node) in self.parts {
            let in_list = |(single, _): &&(&str, &str)| *single == name && node.text.is_none();
            if name.ends_with(ENTRIES) {
                object.insert("Entries".to_owned(), node.list());
            } else if let Some((_, plural)) = MAPS.iter().find(in_list) {
                object.insert((*plural).to_owned(), node.map());
            } else if let Some((_, plural)) = LISTS[..3].iter().find(|(single, _)| *single == name) {
                object.insert((*plural).to_owned(), node.list());
            } else {
                object.insert(name, node.value());
            }
        }
        Value::Object(object)
    }

    /// The parts in the order of their numbers, or the one that has none.
    fn list(self) -> Value {
        if let Some(text) = self.text {
            return Value::Array(vec![Value::String(text)]);
        }
        let mut parts: Vec<(u32, Node)> = self.parts.into_iter().filter_map(|(place, node)| Some((place.parse().ok()?, node))).collect();
        parts.sort_by_key(|(place, _)| *place);
        parts.into_iter().map(|(_, node)| node.value()).collect()
    }

    /// The values of the parts, each by its name.
    fn map(self) -> Value {
        let named = |mut node: Node| Some((node.parts.remove("Name")?.text?, node.parts.remove("Value")?.value()));
        Value::Object(self.parts.into_values().filter_map(named).collect())
    }
}

/// The answer of an operation.
pub(super) fn output(action: &str, output: &Value, id: &str) -> String {
    let mut xml = format!(r#"<?xml version="1.0"?><{action}Response xmlns="{NAMESPACE}">"#);
    if !SILENT.contains(&action) {
        element(&mut xml, &format!("{action}Result"), |xml| fields(xml, action, output));
    }
    let _ = write!(xml, "<ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata></{action}Response>");
    xml
}

/// An error.
pub(super) fn error(error: &Error, id: &str) -> String {
    let mut xml = format!(r#"<?xml version="1.0"?><ErrorResponse xmlns="{NAMESPACE}">"#);
    element(&mut xml, "Error", |xml| {
        element(xml, "Type", |xml| escape(xml, if error.by_sender() { "Sender" } else { "Receiver" }));
        element(xml, "Code", |xml| escape(xml, error.code.query));
        element(xml, "Message", |xml| escape(xml, &error.message));
    });
    let _ = write!(xml, "<RequestId>{id}</RequestId></ErrorResponse>");
    xml
}

fn fields(xml: &mut String, action: &str, object: &Value) {
    for (name, value) in object.as_object().into_iter().flatten() {
        let single = |pairs: &[(&'static str, &str)]| pairs.iter().find(|(_, plural)| plural == name).map(|(single, _)| *single);
        match value {
            Value::Array(items) => {
                let single = match name.as_str() {
                    "Successful" => format!("{action}ResultEntry"),
                    "Failed" => "BatchResultErrorEntry".to_owned(),
                    name => single(&LISTS).unwrap_or(name).to_owned(),
                };
                items.iter().for_each(|item| element(xml, &single, |xml| any(xml, action, item)));
            }
            Value::Object(map) => {
                let entry = |xml: &mut String, (name, value): (&String, &Value)| {
                    element(xml, "Name", |xml| escape(xml, name));
                    element(xml, "Value", |xml| any(xml, action, value));
                };
                match single(&MAPS) {
                    Some(single) => map.iter().for_each(|pair| element(xml, single, |xml| entry(xml, pair))),
                    None => element(xml, name, |xml| fields(xml, action, value)),
                }
            }
            value => element(xml, name, |xml| any(xml, action, value)),
        }
    }
}

fn any(xml: &mut String, action: &str, value: &Value) {
    match value {
        Value::String(text) => escape(xml, text),
        Value::Object(_) => fields(xml, action, value),
        value => escape(xml, &value.to_string()),
    }
}

fn element(xml: &mut String, name: &str, content: impl FnOnce(&mut String)) {
    let _ = write!(xml, "<{name}>");
    content(xml);
    let _ = write!(xml, "</{name}>");
}

/// Writes a text of characters that a message may hold. A line's end that is none of XML's would be read as one.
fn escape(xml: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\r' => xml.push_str("&#xD;"),
            c => xml.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_is_read_to_what_the_json_protocol_has() {
        let form = "Action=SendMessageBatch&Version=2012-11-05&SendMessageBatchRequestEntry.2.Id=b&SendMessageBatchRequestEntry.2.MessageBody=2\
            &SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=a%26b+c\
            &SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=x.y&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String\
            &SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v&AttributeName.1=All&AttributeName=All";
        let request = http::Request::post("/").body(form.into()).unwrap();
        let (action, input) = read(&request).unwrap();
        assert_eq!(action, "SendMessageBatch");
        let first =
            json!({ "Id": "a", "MessageBody": "a&b c", "MessageAttributes": { "x.y": { "DataType": "String", "StringValue": "v" } } });
        assert_eq!(input["Entries"], json!([first, { "Id": "b", "MessageBody": "2" }]));
        assert_eq!(input["AttributeNames"], json!(["All"]));
        assert!(read(&http::Request::post("/").body("Version=1".into()).unwrap()).is_err());
    }

    #[test]
    fn an_answer_is_written_as_clients_read_it() {
        let answer = json!({ "Messages": [{ "Body": "<&>\r\n", "Attributes": { "SentTimestamp": "1" }, "MessageAttributes": { "n": { "DataType": "Number", "StringValue": "1" } } }] });
        let message = "<Message><Attribute><Name>SentTimestamp</Name><Value>1</Value></Attribute><Body>&lt;&amp;&gt;&#xD;\n</Body><MessageAttribute><Name>n</Name>\
            <Value><DataType>Number</DataType><StringValue>1</StringValue></Value></MessageAttribute></Message>";
        let whole = output("ReceiveMessage", &answer, "r");
        assert!(whole.contains(&format!("<ReceiveMessageResult>{message}</ReceiveMessageResult>")), "{whole}");
        let batch = json!({ "Successful": [{ "Id": "a" }], "Failed": [{ "Id": "b", "SenderFault": true }] });
        let wanted = "<BatchResultErrorEntry><Id>b</Id><SenderFault>true</SenderFault></BatchResultErrorEntry><DeleteMessageBatchResultEntry><Id>a</Id></DeleteMessageBatchResultEntry>";
        assert!(output("DeleteMessageBatch", &batch, "r").contains(wanted));
        assert!(!output("DeleteMessage", &json!({}), "r").contains("Result>"));
        assert!(output("ReceiveMessage", &json!({}), "r").contains("<ReceiveMessageResult></ReceiveMessageResult>"));
    }
}
