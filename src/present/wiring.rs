//! How a scanner's room is wired: where pulses come from, and the participant's buttons.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::present::quantity::at_least_one;
use crate::study::checked::checked;

/// How the scanner's pulses arrive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriggerSetup {
    /// A byte over a serial port.
    Serial(SerialSetup),
    /// A voltage on a modem line of a serial port.
    ModemLine(ModemLineSetup),
    /// A key of a device that the kernel reads, a keyboard or a button box.
    Input(InputSetup),
    /// A key, as the window hears it.
    Keyboard(KeySetup),
}

/// A serial port: 8 data bits, no parity, 1 stop bit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PortSetup {
    /// Its path.
    pub(in crate::present) port: String,
    /// Bits per second.
    #[serde(deserialize_with = "at_least_one")]
    pub(in crate::present) baud: u32,
    /// What is said to the box when the port is opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::present) handshake: Vec<HandshakeStep>,
}

/// Something that is said to a box, and what it says to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandshakeStep {
    /// What is written.
    pub(in crate::present) send: Latin1,
    /// What is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::present) answer: Option<Latin1>,
}

/// Bytes, written as the characters U+0001 to U+00FF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Latin1(pub(in crate::present) Vec<u8>);

/// A serial port and what a pulse looks like on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "WrittenSerial", into = "WrittenSerial")]
pub struct SerialSetup {
    /// The port.
    pub(in crate::present) port: PortSetup,
    /// What a pulse is.
    pub(in crate::present) pulse: Code,
}

/// What something looks like on a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A byte of its own.
    Byte(u8),
    /// Each byte is the state of all lines of the box; this is where one of these bits is set and none was before.
    Mask(u8),
}

/// A modem line of a serial port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModemLineSetup {
    /// The port's path.
    pub(in crate::present) port: String,
    /// The line.
    pub(in crate::present) line: Line,
    /// Where a pulse begins.
    pub(in crate::present) edge: Edge,
}

/// A line that a modem can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Clear to send.
    Cts,
    /// Data set ready.
    Dsr,
    /// Data carrier detect.
    Dcd,
    /// Ring indicator: the kernel tells of the end of each pulse only.
    Ri,
}

/// A change of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// It is set.
    Rising,
    /// It is cleared.
    Falling,
}

/// A key of an input device of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InputSetup {
    /// The device's path, best one below `/dev/input/by-id`.
    pub(in crate::present) device: String,
    /// The character on the key.
    #[serde(deserialize_with = "key_of_device")]
    pub(in crate::present) key: char,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeySetup {
    /// The character that it types.
    pub(in crate::present) key: char,
}

/// The participant's buttons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Responses {
    /// The buttons by their names.
    #[serde(deserialize_with = "buttons")]
    pub(in crate::present) buttons: BTreeMap<String, Button>,
    /// A second press of a button within this time of one that counts is a bounce and does not count, in seconds.
    #[serde(deserialize_with = "debounce")]
    pub(in crate::present) debounce_s: f64,
    /// A press is a response to a target up to this long after the target's onset, in seconds.
    #[serde(deserialize_with = "window")]
    pub(in crate::present) window_s: f64,
    /// Their serial port, where it is not the trigger's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::present) serial: Option<PortSetup>,
    /// Their input device, where it is not the trigger's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::present) input: Option<String>,
}

/// What a press of a button looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// A byte of its own over a serial port.
    Byte(u8),
    /// These bits of a state byte over a serial port.
    Mask(u8),
    /// A key.
    Key(char),
}

impl Button {
    /// What it looks like on a serial line, if it is on one.
    pub fn code(self) -> Option<Code> {
        match self {
            Button::Byte(byte) => Some(Code::Byte(byte)),
            Button::Mask(mask) => Some(Code::Mask(mask)),
            Button::Key(_) => None,
        }
    }

    /// The key, if it is one.
    pub fn key(self) -> Option<char> {
        if let Button::Key(key) = self { Some(key) } else { None }
    }
}

impl fmt::Display for Button {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Button::Byte(byte) => write!(f, "byte {byte:#04x}"),
            Button::Mask(mask) => write!(f, "mask {mask:#04x}"),
            Button::Key(key) => write!(f, "key {key:?}"),
        }
    }
}

impl Responses {
    /// The buttons with their numbers, in the order of their names.
    pub fn numbered(&self) -> impl Iterator<Item = (u8, &str, Button)> {
        (0..).zip(&self.buttons).map(|(number, (name, button))| (number, &**name, *button))
    }

    /// The buttons on serial lines, with their numbers.
    pub fn codes(&self) -> Vec<(Code, u8)> {
        self.numbered().filter_map(|(number, _, button)| Some((button.code()?, number))).collect()
    }

    /// The buttons that are keys, with their numbers.
    pub fn keys(&self) -> Vec<(char, u8)> {
        self.numbered().filter_map(|(number, _, button)| Some((button.key()?, number))).collect()
    }

    /// The name of a button by its number.
    pub fn name(&self, number: u8) -> Option<&str> {
        self.buttons.keys().nth(number.into()).map(String::as_str)
    }

    /// Whether each button can be told from the others and from a pulse; the reason if not.
    pub fn fit(&self, trigger: &TriggerSetup) -> Result<(), String> {
        let distinct: BTreeSet<&Button> = self.buttons.values().collect();
        if distinct.len() < self.buttons.len() {
            return Err("responses.buttons: two buttons look the same".into());
        }
        let codes = self.codes();
        let pulse = match (trigger, &self.serial) {
            (TriggerSetup::Serial(setup), None) => Some(setup.pulse),
            (_, None) if !codes.is_empty() => {
                return Err(
                    "responses.buttons: a byte or mask needs a serial port, the trigger's or responses.serial".into()
                );
            }
            _ => None,
        };
        let mut on_line: Vec<Code> = codes.iter().map(|(code, _)| *code).collect();
        if pulse.is_some_and(|pulse| on_line.contains(&pulse)) {
            return Err("responses.buttons: a button looks like a pulse".into());
        }
        // Without a button there, the pulse has the line for itself.
        on_line.extend(pulse.filter(|_| !codes.is_empty()));
        let masks: Vec<u8> =
            on_line.iter().filter_map(|code| if let Code::Mask(mask) = code { Some(*mask) } else { None }).collect();
        if !masks.is_empty() && masks.len() < on_line.len() {
            return Err("responses.buttons: on one serial port all are bytes, or all are masks".into());
        }
        if masks.iter().fold(0_u32, |sum, mask| sum + u32::from(*mask))
            != u32::from(masks.iter().fold(0, |all, m| all | m))
        {
            return Err("responses.buttons: two masks have a bit in common".into());
        }
        let keys = self.keys();
        let pulse = match trigger {
            TriggerSetup::Keyboard(setup) if self.input.is_none() => Some(setup.key),
            TriggerSetup::Input(setup) if self.input.as_ref().is_none_or(|input| *input == setup.device) => {
                Some(setup.key)
            }
            _ => None,
        };
        if keys.iter().any(|(key, _)| pulse == Some(*key)) {
            return Err("responses.buttons: a button looks like a pulse".into());
        }
        let by_device = self.input.is_some() || matches!(trigger, TriggerSetup::Input(_));
        match keys.iter().find(|(key, _)| by_device && key_code(*key).is_none()) {
            Some((key, _)) => Err(format!("responses.buttons: expected {DEVICE_KEYS}, found {key:?}")),
            None => Ok(()),
        }
    }
}

/// The keys that [`key_code`] knows.
const DEVICE_KEYS: &str = "a key of an input device: a digit, a small letter, \"=\" or \"-\"";

/// The number that the kernel gives a key, by the character on it on a US keyboard (`linux/input-event-codes.h`).
pub fn key_code(key: char) -> Option<u16> {
    // The rows of a keyboard are numbered from left to right.
    const ROWS: [(&str, u16); 4] = [("1234567890-=", 2), ("qwertyuiop", 16), ("asdfghjkl", 30), ("zxcvbnm", 44)];
    ROWS.iter().find_map(|(row, first)| row.find(key).map(|place| first + place as u16))
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenSerial {
    /// The port's path.
    port: String,
    /// Bits per second.
    #[serde(deserialize_with = "at_least_one")]
    baud: u32,
    /// The byte that is a pulse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    byte: Option<u8>,
    /// In place of `byte`: the bits that a pulse sets, where each byte is the state of all lines of the box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mask: Option<u8>,
    /// What is said to the box when the port is opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    handshake: Vec<HandshakeStep>,
}

impl TryFrom<WrittenSerial> for SerialSetup {
    type Error = &'static str;

    fn try_from(written: WrittenSerial) -> Result<SerialSetup, &'static str> {
        let WrittenSerial { port, baud, byte, mask, handshake } = written;
        let pulse = match (byte, mask) {
            (Some(byte), None) => Code::Byte(byte),
            (None, Some(0)) => return Err("expected a mask with a bit in it, found 0"),
            (None, Some(mask)) => Code::Mask(mask),
            _ => return Err("expected one of byte and mask: what a pulse is"),
        };
        Ok(SerialSetup { port: PortSetup { port, baud, handshake }, pulse })
    }
}

impl From<SerialSetup> for WrittenSerial {
    fn from(setup: SerialSetup) -> WrittenSerial {
        let PortSetup { port, baud, handshake } = setup.port;
        let (byte, mask) = match setup.pulse {
            Code::Byte(byte) => (Some(byte), None),
            Code::Mask(mask) => (None, Some(mask)),
        };
        WrittenSerial { port, baud, byte, mask, handshake }
    }
}

impl TryFrom<String> for Latin1 {
    type Error = String;

    fn try_from(text: String) -> Result<Latin1, String> {
        let bytes = text.chars().map(|c| u8::try_from(c).ok().filter(|byte| *byte > 0)).collect::<Option<Vec<u8>>>();
        let bytes = bytes.filter(|bytes| !bytes.is_empty());
        bytes
            .map(Latin1)
            .ok_or_else(|| format!("expected characters up to U+00FF, each of them a byte, found {text:?}"))
    }
}

impl From<Latin1> for String {
    fn from(bytes: Latin1) -> String {
        bytes.0.into_iter().map(char::from).collect()
    }
}

fn key_of_device<'de, D: Deserializer<'de>>(deserializer: D) -> Result<char, D::Error> {
    checked(deserializer, DEVICE_KEYS, |key| key_code(*key).is_some())
}

fn debounce<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a time from 0 to 1 s", |value| (0.0..=1.0).contains(value))
}

fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, "a time above 0, up to 10 s", |value| *value > 0.0 && *value <= 10.0)
}

fn buttons<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Button>, D::Error> {
    let sound = |buttons: &BTreeMap<String, Button>| {
        let is_name = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (1..=16).contains(&buttons.len())
            && buttons.iter().all(|(name, button)| is_name(name) && *button != Button::Mask(0))
    };
    checked(deserializer, "1 to 16 buttons with names of letters, digits and _, and no mask of 0", sound)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::present::protocol::Protocol;
    use crate::present::protocol::tests::SOUND;

    fn wired(trigger: &str, more: &str) -> Result<Protocol, String> {
        let (before, _) = SOUND.split_once("[trigger.serial]").unwrap();
        let text = format!("{before}{trigger}\n{more}");
        Protocol::parse(Path::new("p.toml"), &text).map_err(|error| error.to_string())
    }

    const FORP: &str = "[trigger.serial]\nport = \"/dev/ttyUSB0\"\nbaud = 19200\nmask = 0x10\n";

    fn responses(buttons: &str) -> String {
        format!("[responses]\ndebounce_s = 0.03\nwindow_s = 1.5\nbuttons = {buttons}\n")
    }

    #[test]
    fn a_box_that_sends_states_and_its_buttons_are_understood_and_survive_the_journal() {
        let protocol = wired(FORP, &responses("{ blue = { mask = 0x01 }, yellow = { mask = 0x02 } }")).unwrap();
        let TriggerSetup::Serial(setup) = &protocol.trigger else { panic!("{:?}", protocol.trigger) };
        assert_eq!(setup.pulse, Code::Mask(0x10));
        let responses = protocol.responses.as_ref().unwrap();
        assert_eq!(responses.codes(), [(Code::Mask(1), 0), (Code::Mask(2), 1)]);
        assert_eq!([responses.name(1), responses.name(2)], [Some("yellow"), None]);
        let text = serde_json::to_string(&protocol).unwrap();
        assert_eq!(serde_json::from_str::<Protocol>(&text).unwrap(), protocol);
    }

    #[test]
    fn a_handshake_is_bytes() {
        let steps = "handshake = [{ send = \"C\" }, { send = \"R0001\\u00ff\", answer = \"A\" }]\n";
        let protocol = wired(&format!("{FORP}{steps}"), "").unwrap();
        let TriggerSetup::Serial(setup) = &protocol.trigger else { panic!("{:?}", protocol.trigger) };
        assert_eq!(setup.port.handshake[0], HandshakeStep { send: Latin1(b"C".to_vec()), answer: None });
        assert_eq!(setup.port.handshake[1].send.0, b"R0001\xff");
        let error = wired(&format!("{FORP}handshake = [{{ send = \"\u{20ac}\" }}]"), "").unwrap_err();
        assert!(error.contains("U+00FF"), "{error}");
    }

    #[test]
    fn lines_and_devices_are_named() {
        let line = "[trigger.modem_line]\nport = \"/dev/ttyS0\"\nline = \"cts\"\nedge = \"rising\"\n";
        assert!(matches!(wired(line, "").unwrap().trigger, TriggerSetup::ModemLine(_)));
        assert!(wired(&line.replace("cts", "dtr"), "").unwrap_err().contains("dtr"));
        let input = "[trigger.input]\ndevice = \"/dev/input/event3\"\nkey = \"5\"\n";
        assert!(matches!(wired(input, "").unwrap().trigger, TriggerSetup::Input(_)));
        assert!(wired(&input.replace('5', "%"), "").unwrap_err().contains("a digit"));
    }

    #[test]
    fn a_key_of_a_device_has_the_kernel_s_number() {
        // KEY_5, KEY_EQUAL, KEY_T, KEY_S, KEY_B
        assert_eq!(['5', '=', 't', 's', 'b'].map(key_code), [6, 13, 20, 31, 48].map(Some));
        assert_eq!(key_code('%'), None);
    }

    #[test]
    fn what_cannot_be_told_apart_is_refused_with_the_reason() {
        let serial = "[trigger.serial]\nport = \"/dev/ttyS0\"\nbaud = 9600\nbyte = 53\n";
        let keyboard = "[trigger.keyboard]\nkey = \"5\"\n";
        for (trigger, buttons, reason) in [
            (serial, "{ a = { byte = 53 } }", "looks like a pulse"),
            (serial, "{ a = { byte = 1 }, b = { byte = 1 } }", "look the same"),
            (serial, "{ a = { mask = 1 } }", "all are bytes, or all are masks"),
            (FORP, "{ a = { mask = 1 }, b = { mask = 3 } }", "a bit in common"),
            (FORP, "{ a = { mask = 0 } }", "no mask of 0"),
            (keyboard, "{ a = { byte = 1 } }", "needs a serial port"),
            (keyboard, "{ a = { key = \"5\" } }", "looks like a pulse"),
            (serial, "{}", "1 to 16 buttons"),
            (serial, "{ \"a b\" = { byte = 1 } }", "names of letters"),
        ] {
            let error = wired(trigger, &responses(buttons)).unwrap_err();
            assert!(error.contains("p.toml") && error.contains(reason), "{error}");
        }
        let input = format!("{}input = \"/dev/input/event3\"\n", responses("{ a = { key = \"?\" } }"));
        assert!(wired(serial, &input).unwrap_err().contains("a digit"));
        assert!(
            wired(&serial.replace("byte = 53", "byte = 53\nmask = 1"), "")
                .unwrap_err()
                .contains("one of byte and mask")
        );
        assert!(wired(serial, &responses("{ a = { key = \"5\" }, b = { byte = 54 } }")).is_ok());
    }
}
