//! Whether the scanner's pulses arrive, and how regular they are; and whether each button does.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::present::clock::Moment;
use crate::present::error::Error;
use crate::present::protocol::{Protocol, Pulses};
use crate::present::pulses::{self, Expected};
use crate::present::trigger::{Signal, Trigger};
use crate::present::wiring::{Button, Responses};
use crate::study::{Fault, Finding, GridFit, Stage};

/// So many pulses are waited for, where the protocol has so many.
const PULSES: usize = 5;

/// What came of the trigger and the buttons.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Heard {
    /// The pulses, in seconds from the first.
    pub pulses_s: Vec<f64>,
    /// Bytes that are not the trigger's, and how often each came.
    pub other_bytes: BTreeMap<u8, u32>,
    /// How often each button was pressed, by its number; bounces count.
    #[serde(skip)]
    pub presses: BTreeMap<u8, u32>,
    /// Whether the port went away.
    pub is_lost: bool,
    /// Whether the buttons' own port or device did.
    pub buttons_are_lost: bool,
}

impl Heard {
    /// Whether nothing more is to be heard of these buttons.
    pub fn has_all(&self, responses: &Responses) -> bool {
        self.buttons_are_lost || responses.numbered().all(|(number, ..)| self.presses.contains_key(&number))
    }
}

/// How many pulses are waited for.
pub fn wanted(protocol: &Protocol) -> usize {
    if protocol.pulses == Pulses::FirstVolume { 1 } else { PULSES }
}

/// Listens until enough pulses came, the port is gone, or `goes_on`, which is called between, says no. What is pressed
/// meanwhile counts.
pub fn listen(
    trigger: &mut dyn Trigger,
    wanted: usize,
    stage: &dyn Stage,
    mut goes_on: impl FnMut() -> Result<bool, Error>,
) -> Result<Heard, Error> {
    let mut heard = Heard::default();
    let mut first: Option<Moment> = None;
    while heard.pulses_s.len() < wanted && !heard.is_lost {
        while let Some(signal) = trigger.poll() {
            match signal {
                Signal::Pulse(at) => {
                    heard.pulses_s.push(at.seconds_since(*first.get_or_insert(at)));
                    stage.advance(1);
                }
                Signal::OtherByte(_, byte) => *heard.other_bytes.entry(byte).or_default() += 1,
                Signal::Press(_, button) => *heard.presses.entry(button).or_default() += 1,
                Signal::Lost(_) => heard.is_lost = true,
                Signal::ButtonsLost(_) => heard.buttons_are_lost = true,
            }
        }
        if !goes_on()? {
            break;
        }
    }
    Ok(heard)
}

/// Listens on until each button was pressed, their port or device is gone, or `goes_on` says no. `tell` hears which button
/// was pressed for the first time.
pub fn listen_to_buttons(
    trigger: &mut dyn Trigger,
    responses: &Responses,
    heard: &mut Heard,
    mut tell: impl FnMut(u8),
    mut goes_on: impl FnMut() -> Result<bool, Error>,
) -> Result<(), Error> {
    let is_shared = responses.serial.is_none() && responses.input.is_none();
    while !heard.has_all(responses) {
        while let Some(signal) = trigger.poll() {
            match signal {
                Signal::Press(_, button) => {
                    let count = heard.presses.entry(button).or_default();
                    *count += 1;
                    if *count == 1 {
                        tell(button);
                    }
                }
                Signal::OtherByte(_, byte) => *heard.other_bytes.entry(byte).or_default() += 1,
                Signal::ButtonsLost(_) => heard.buttons_are_lost = true,
                Signal::Lost(_) => {
                    heard.is_lost = true;
                    heard.buttons_are_lost |= is_shared;
                }
                Signal::Pulse(_) => (),
            }
        }
        if !goes_on()? {
            break;
        }
    }
    Ok(())
}

/// What came of each button, in the order of their names.
pub fn buttons(responses: &Responses, heard: &Heard) -> Vec<Finding> {
    const SUBJECT: &str = "button";
    let button = |(number, name, button): (u8, &str, Button)| {
        let count = heard.presses.get(&number).copied().unwrap_or(0);
        let what = format!("{name}, {button}");
        if count > 0 {
            let times = if count == 1 { "once".into() } else { format!("{count} times") };
            return Finding::pass(SUBJECT, format!("{what}: pressed {times}"));
        }
        if heard.buttons_are_lost {
            let advice = "look at the cable and the box's power";
            return Finding::fail(SUBJECT, format!("{what}: the box went away before it was pressed"), advice);
        }
        let others = heard.other_bytes.iter().max_by_key(|(_, count)| **count);
        let others = others.filter(|_| button.code().is_some());
        let others = others.map_or(String::new(), |(byte, count)| {
            format!(", but {count} times the byte {byte:#04x}: is that the button's?")
        });
        let advice = match button {
            Button::Byte(_) | Button::Mask(_) => {
                "press it again; look at the cable, the box's mode and baud, and at the protocol's [responses]"
            }
            Button::Key(_) if responses.input.is_some() => {
                "press it again; look at the protocol's responses.input: another device may be the box"
            }
            Button::Key(_) => {
                "press it again; the key must be that of the protocol's [responses], and no other window may have the focus"
            }
        };
        Finding::fail(SUBJECT, format!("{what}: not pressed{others}"), advice)
    };
    responses.numbered().map(button).collect()
}

/// What the pulses say.
pub fn pulses(protocol: &Protocol, source: &str, heard: &Heard) -> (Finding, Option<GridFit>) {
    const SUBJECT: &str = "pulses";
    let Heard { pulses_s, other_bytes, is_lost, .. } = heard;
    let count = pulses_s.len();
    if *is_lost {
        let advice = "look at the cable and the box's power";
        return (Finding::fail(SUBJECT, format!("{source} went away after {count} pulses"), advice), None);
    }
    if count == 0 {
        let others = match other_bytes.iter().max_by_key(|(_, count)| **count) {
            Some((byte, count)) => format!(", but {count} times the byte {byte:#04x}: is that the trigger's?"),
            None => String::new(),
        };
        let advice = "send a pulse by hand or with a phantom; look at the cable, the box's mode, baud and byte";
        return (Finding::fail(SUBJECT, format!("none came from {source}{others}"), advice), None);
    }
    let expected = Expected { interval_s: protocol.pulse_interval_s(), pulses: count as u32, per_volume: 1 };
    let judgement = pulses::judge(pulses_s, &expected, false);
    // They are not those of a run: how many there are says nothing.
    let mut faults = judgement.verdict.faults().iter().filter(|fault| !matches!(fault, Fault::Count { .. }));
    let finding = match (faults.next(), judgement.fit) {
        (Some(fault), fit) => {
            let is_other = matches!(fault, Fault::OtherTr { .. });
            let found = format!("{count} from {source}; {fault}");
            match fit {
                None if is_other => {
                    Finding::fail(SUBJECT, found, "correct tr_s, pulses or the box; by hand it is no matter")
                }
                _ => Finding::warn(SUBJECT, found, "by hand it is no matter; otherwise look at the box and its cable"),
            }
        }
        (None, Some(GridFit { interval_s, jitter_sd_ms, .. })) => Finding::pass(
            SUBJECT,
            format!(
                "{count} from {source}, {interval_s:.4} s apart (expected {} s), jitter SD {jitter_sd_ms:.2} ms",
                expected.interval_s
            ),
        ),
        (None, None) if count >= wanted(protocol) => Finding::pass(SUBJECT, format!("{count} from {source}")),
        (None, None) => Finding::warn(
            SUBJECT,
            format!("{count} from {source}: too few to know how far apart they come"),
            "wait for more, with a phantom or by hand",
        ),
    };
    (finding, judgement.fit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::present::protocol::tests::sound;
    use crate::present::trigger::Devices;
    use crate::present::trigger::emulated::EmulatedBox;
    use crate::present::wiring::{Code, PortSetup, SerialSetup, TriggerSetup};
    use crate::study::{Judgement, Silent};

    fn found(pulses_s: &[f64]) -> Finding {
        pulses(&sound(), "/dev/x", &Heard { pulses_s: pulses_s.to_vec(), ..Heard::default() }).0
    }

    #[test]
    fn regular_pulses_pass_with_interval_and_jitter_and_others_say_what_is_wrong() {
        let regular = found(&[0.0, 1.0002, 2.0, 3.0, 4.0]);
        assert_eq!(regular.judgement, Judgement::Pass);
        assert!(regular.found.starts_with("5 from /dev/x, 1.0000 s apart (expected 1 s), jitter SD 0."), "{regular:?}");
        let toggled = found(&[0.0, 2.0, 4.0, 6.0, 8.0]);
        assert!(toggled.judgement == Judgement::Fail && toggled.found.contains("a box that toggles?"), "{toggled:?}");
        assert_eq!(found(&[0.0, 1.0, 3.0, 4.0, 5.0]).judgement, Judgement::Warn);
        assert_eq!(found(&[0.0, 1.0]).judgement, Judgement::Warn);
    }

    #[test]
    fn where_no_pulse_came_the_bytes_that_did_are_named() {
        let heard = Heard { other_bytes: [(b't', 4), (0, 1)].into(), ..Heard::default() };
        let (finding, _) = pulses(&sound(), "/dev/x", &heard);
        assert!(finding.judgement == Judgement::Fail && finding.found.contains("4 times the byte 0x74"), "{finding:?}");
        let lost = Heard { is_lost: true, ..Heard::default() };
        assert!(pulses(&sound(), "/dev/x", &lost).0.found.contains("went away"));
    }

    fn responses(more: &str) -> Responses {
        let text = format!("debounce_s = 0.03\nwindow_s = 1.5\n{more}");
        crate::study::file::parse_toml(std::path::Path::new("p.toml"), &text).unwrap()
    }

    #[test]
    fn each_button_passes_where_it_was_pressed_and_fails_with_what_to_do_where_not() {
        let box_of = responses("buttons = { blue = { mask = 1 }, red = { mask = 2 } }");
        let heard = Heard { presses: [(0, 2)].into(), other_bytes: [(0x40, 3)].into(), ..Heard::default() };
        let [blue, red] = &buttons(&box_of, &heard)[..] else { panic!("two buttons") };
        assert_eq!((blue.judgement, &*blue.found), (Judgement::Pass, "blue, mask 0x01: pressed 2 times"));
        assert_eq!(red.judgement, Judgement::Fail);
        assert_eq!(red.found, "red, mask 0x02: not pressed, but 3 times the byte 0x40: is that the button's?");
        let keys = responses("buttons = { a = { key = \"b\" } }\ninput = \"/dev/input/event9\"");
        let advice = |responses: &Responses| buttons(responses, &Heard::default())[0].advice.clone().unwrap();
        assert!(advice(&keys).contains("responses.input"), "{}", advice(&keys));
        assert!(advice(&responses("buttons = { a = { key = \"b\" } }")).contains("focus"));
        let lost = Heard { buttons_are_lost: true, ..heard };
        let judged: Vec<_> = buttons(&box_of, &lost).iter().map(|finding| finding.judgement).collect();
        assert_eq!(judged, [Judgement::Pass, Judgement::Fail]);
    }

    /// Signals that are all there at once.
    struct AtOnce(std::collections::VecDeque<Signal>);

    impl Trigger for AtOnce {
        fn poll(&mut self) -> Option<Signal> {
            self.0.pop_front()
        }
    }

    #[test]
    fn buttons_are_waited_for_until_each_was_pressed_their_box_is_gone_or_the_time_is_over() {
        let at = Moment(0);
        let both = responses("buttons = { blue = { mask = 1 }, red = { mask = 2 } }");
        let listened = |signals: &[Signal], mut left: u32| {
            let mut heard = Heard::default();
            let mut told = Vec::new();
            let goes_on = || {
                left -= 1;
                Ok(left > 0)
            };
            let mut trigger = AtOnce(signals.to_vec().into());
            listen_to_buttons(&mut trigger, &both, &mut heard, |number| told.push(number), goes_on).unwrap();
            (heard, told, left)
        };
        let presses = [Signal::Press(at, 1), Signal::Press(at, 1), Signal::Pulse(at), Signal::Press(at, 0)];
        let (heard, told, left) = listened(&presses, 5);
        assert_eq!((told, left, heard.presses), (vec![1, 0], 4, [(0, 1), (1, 2)].into()));
        let (heard, told, left) = listened(&presses[..2], 5);
        assert!(told == [1] && left == 0 && !heard.has_all(&both));
        // They come over the trigger's own line.
        let (heard, _, left) = listened(&[Signal::Lost(at)], 5);
        assert!(heard.buttons_are_lost && left == 4);
    }

    #[test]
    fn listening_ends_with_enough_pulses_or_with_the_time() {
        let scanner = EmulatedBox::new(&[]).unwrap();
        let port = PortSetup { port: scanner.port(), baud: 9600, handshake: Vec::new() };
        let setup = TriggerSetup::Serial(SerialSetup { port, pulse: Code::Byte(b'5') });
        let mut trigger = Devices::open(&setup, None, std::sync::mpsc::channel().1).unwrap();
        let now = Moment::now();
        scanner.send([0.0, 0.01, 0.02].map(|at_s| (now.plus(at_s), b'5')).to_vec());
        let pause = |left: &mut u32| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            *left -= 1;
            Ok(*left > 0)
        };
        let mut left = 2000;
        assert_eq!(listen(&mut trigger, 3, &Silent, || pause(&mut left)).unwrap().pulses_s.len(), 3);
        let mut left = 10;
        assert_eq!(listen(&mut trigger, 3, &Silent, || pause(&mut left)).unwrap(), Heard::default());
    }
}
