//! Cuts the stream from RabbitMQ into frames that a client can parse.
//!
//! A frame (AMQP 0-9-1, section 4.2.3) is a type, a channel, a size, that many bytes, and an end
//! mark. Bodies pass unchanged. The filter reads content headers and methods that bring a message,
//! because one that lapin could not parse would end the connection for all messages.

use std::collections::HashMap;

use bytes::{Buf, Bytes, BytesMut};

use super::{
    header,
    table::{self, Damage},
};

const METHOD: u8 = 1;
const HEADER: u8 = 2;
/// A type, a channel and a size.
const START: usize = 7;
/// The mark at the end of a frame.
const END: u8 = 0xCE;
/// A heartbeat frame, as if RabbitMQ had sent it.
pub(super) const HEARTBEAT: [u8; START + 1] = [8, 0, 0, 0, 0, 0, 0, END];
/// Larger methods and headers pass unread, because the client refuses them anyway.
const LARGEST: usize = 4 << 20;
/// The largest frame that RabbitMQ offers by default.
const FRAME_MAX: usize = 128 << 10;
/// The class and the method with which RabbitMQ says how large a frame may be.
const TUNE: [u8; 4] = [0, 10, 0, 30];

/// The class and the methods that bring a message to a client.
const BASIC: u16 = 60;
const RETURN: u16 = 50;
const DELIVER: u16 = 60;
const GET_OK: u16 = 71;

/// A part of the stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Bytes to pass on.
    Bytes(Bytes),
    /// A frame to pass on that announces a body of this many bytes.
    Content(Bytes, u64),
}

/// Cuts a stream into frames.
#[derive(Debug)]
pub(super) struct Frames {
    read: BytesMut,
    /// Bytes that pass as they come.
    passing: usize,
    /// By channel, what was wrong with the method of a message whose header comes next.
    damaged: HashMap<u16, String>,
    /// No frames arrive: RabbitMQ names its protocol and closes the connection.
    is_foreign: bool,
    /// How large a frame may be.
    frame_max: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            read: BytesMut::new(),
            passing: 0,
            damaged: HashMap::new(),
            is_foreign: false,
            frame_max: FRAME_MAX,
        }
    }
}

impl Frames {
    /// Takes what was read.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.read.extend_from_slice(bytes);
    }

    /// The next part; `None` until more was read.
    pub(super) fn next(&mut self) -> Option<Part> {
        if self.read.is_empty() {
            return None;
        }
        self.is_foreign |= self.passing == 0 && self.read[0] == b'A';
        if self.is_foreign {
            return Some(Part::Bytes(self.read.split().freeze()));
        }
        if self.passing == 0 {
            let start = self.read.first_chunk::<START>()?;
            let [kind, channel_high, channel_low, size @ ..] = *start;
            let size = u32::from_be_bytes(size) as usize;
            if matches!(kind, METHOD | HEADER) && size <= LARGEST {
                if self.read.len() <= START + size {
                    return None;
                }
                let frame = self.read.split_to(START + size + 1);
                return Some(self.look_into(kind, u16::from_be_bytes([channel_high, channel_low]), frame));
            }
            self.passing = START + size + 1;
        }
        let bytes = self.read.split_to(self.passing.min(self.read.len())).freeze();
        self.passing -= bytes.len();
        Some(Part::Bytes(bytes))
    }

    fn look_into(&mut self, kind: u8, channel: u16, mut frame: BytesMut) -> Part {
        let end = frame.len() - 1;
        let payload = &mut frame[START..end];
        if kind == METHOD {
            if let Some([_, _, size @ ..]) =
                payload.strip_prefix(&TUNE).and_then(|rest| rest.first_chunk::<6>())
            {
                // 0 means no limit.
                let size = u32::from_be_bytes(*size) as usize;
                self.frame_max = if size == 0 { FRAME_MAX } else { size };
            }
            if let Some(damage) = mend_method(payload) {
                self.damaged.insert(channel, damage);
            }
            return Part::Bytes(frame.freeze());
        }
        let size = header::body_size(payload);
        let damage = self.damaged.remove(&channel);
        let Some(payload) = header::digestible(payload, damage.as_deref(), self.frame_max - START - 1) else {
            return Part::Content(frame.freeze(), size);
        };
        let mut mended = BytesMut::with_capacity(START + payload.len() + 1);
        mended.extend_from_slice(&frame[..START - 4]);
        mended.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        mended.extend_from_slice(&payload);
        mended.extend_from_slice(&[END]);
        Part::Content(mended.freeze(), size)
    }
}

/// Makes the short strings of a method that brings a message UTF-8, in place and of the same
/// length; returns what was wrong.
fn mend_method(payload: &mut [u8]) -> Option<String> {
    let mut bytes = &payload[..];
    let (class, method) = (bytes.try_get_u16().ok()?, bytes.try_get_u16().ok()?);
    // What stands before the exchange: (short strings, bytes).
    let before = match (class, method) {
        (BASIC, DELIVER) => (1, 9),
        (BASIC, GET_OK) => (0, 9),
        (BASIC, RETURN) => (0, 2),
        _ => return None,
    };
    let mut texts = Vec::new();
    let length = payload.len();
    let mut text = |bytes: &mut &[u8]| {
        let text = table::short(bytes).ok()?.len();
        let end = length - bytes.len();
        texts.push(end - text..end);
        Some(())
    };
    let walked = (|| {
        if before.0 == 1 {
            text(&mut bytes)?;
        }
        table::take(&mut bytes, before.1).ok()?;
        if method == RETURN {
            text(&mut bytes)?;
        }
        text(&mut bytes)?;
        text(&mut bytes)
    })();
    let mut damage = None;
    for range in texts {
        let text = &mut payload[range];
        if table::utf8(text).is_err() {
            text.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
            damage = Some(format!("the routing key {}", Damage::Text.words()));
        }
    }
    // A truncated frame is the broker's fault, and the client reports it.
    walked.and(damage)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "short texts of the test's own")]
mod tests {
    use amq_protocol::{
        frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame, parse_frame},
        protocol::{AMQPClass, basic},
    };
    use lapin::{
        BasicProperties,
        types::{AMQPValue, FieldArray, FieldTable},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::amqp::names::{HEADER_RAW_PROPERTIES, HEADER_UNREADABLE};

    fn written(frame: &AMQPFrame) -> Vec<u8> {
        let context: WriteContext<Vec<u8>> = Vec::new().into();
        gen_frame(frame)(context).unwrap().into_inner().0
    }

    fn content(properties: BasicProperties) -> Vec<u8> {
        written(&AMQPFrame::Header(1, AMQPContentHeader { class_id: BASIC, body_size: 3, properties }))
    }

    /// A content header around properties as bytes.
    fn raw_content(properties: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
        payload.extend_from_slice(properties);
        let mut frame = vec![HEADER, 0, 1];
        frame.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        frame.extend_from_slice(&payload);
        frame.push(END);
        frame
    }

    /// A table with one entry.
    fn headers(name: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x20, 0];
        bytes.extend_from_slice(&(1 + name.len() as u32 + value.len() as u32).to_be_bytes());
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
        bytes
    }

    fn nested(kind: u8, levels: usize) -> Vec<u8> {
        let mut value = vec![b'V'];
        for _ in 0..levels {
            let name: &[u8] = if kind == b'F' { b"\x01a" } else { b"" };
            let mut outer = vec![kind];
            outer.extend_from_slice(&((value.len() + name.len()) as u32).to_be_bytes());
            outer.extend_from_slice(name);
            outer.extend_from_slice(&value);
            value = outer;
        }
        value
    }

    /// All parts of a stream that arrives in pieces.
    fn pass(stream: &[u8], piece: usize) -> Vec<u8> {
        let mut frames = Frames::default();
        let mut out = Vec::new();
        for piece in stream.chunks(piece.max(1)) {
            frames.read(piece);
            while let Some(part) = frames.next() {
                match part {
                    Part::Bytes(bytes) | Part::Content(bytes, _) => out.extend_from_slice(&bytes),
                }
            }
        }
        out
    }

    /// What lapin makes of a content header that passed.
    fn parsed(stream: &[u8]) -> BasicProperties {
        let out = pass(stream, usize::MAX);
        match parse_frame(&out[..]) {
            Ok((&[], AMQPFrame::Header(1, header))) => {
                assert_eq!(header.body_size, 3, "the size of the body stays");
                header.properties
            }
            other => panic!("{other:?}"),
        }
    }

    fn said(properties: &BasicProperties) -> String {
        let headers = properties.headers().as_ref().unwrap();
        headers.inner().get(HEADER_UNREADABLE).unwrap().as_long_string().unwrap().to_string()
    }

    #[test]
    fn what_a_client_cannot_digest_is_left_out_and_named() {
        for (properties, words) in [
            (headers(b"n", &nested(b'A', 20_000)), "header `n` is nested"),
            (headers(b"n", &nested(b'F', 15_000)), "header `n` is nested"),
            (headers(b"x-K\xe4se", b"S\0\0\0\x01x"), "is not UTF-8"),
            (headers(b"n", b"F\0\0\0\x03\x01\xffV"), "header `n` is not UTF-8"),
            (headers(b"n", b"z\0"), "header `n` has a value of a type"),
            (headers(b"n", b"S\0\0\0\x09x"), "header `n` does not fit"),
            (vec![0x80, 0, 2, b'a', 0xe9], "property `content_type` is not UTF-8"),
            (vec![0, 0x80, 2, b'M', 0xe9], "property `message_id` is not UTF-8"),
            (vec![0, 0, 7], "the list of properties does not fit"),
            (vec![0x80, 0, 9], "a property does not fit"),
            (vec![], "a property does not fit"),
        ] {
            let properties = parsed(&raw_content(&properties));
            assert!(said(&properties).contains(words), "{words}: {}", said(&properties));
        }
    }

    #[test]
    fn what_can_be_digested_of_a_message_stays() {
        let mut bytes = vec![0xa0, 0x80];
        bytes.extend_from_slice(b"\x02ok");
        let mut table = b"\x01aI\0\0\0\x07\x01bz\0".to_vec();
        table.splice(0..0, (table.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&table);
        bytes.extend_from_slice(b"\x02id");
        let properties = parsed(&raw_content(&bytes));
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "ok");
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), "id");
        let headers = properties.headers().as_ref().unwrap().inner();
        assert_eq!(headers.get("a"), Some(&AMQPValue::LongInt(7)));
        assert_eq!(headers.get(HEADER_RAW_PROPERTIES), Some(&AMQPValue::ByteArray(bytes.into())));
    }

    #[test]
    fn a_message_whose_routing_key_is_not_utf_8_says_so() {
        let deliver = basic::Deliver {
            consumer_tag: "tag".into(),
            delivery_tag: 7,
            redelivered: false,
            exchange: "upshot.events".into(),
            routing_key: "order.x".into(),
        };
        let mut stream =
            written(&AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver))));
        let place = stream.len() - 2;
        assert_eq!(stream[place], b'x');
        stream[place] = 0xe4;
        stream.extend(content(BasicProperties::default().with_priority(3)));
        stream.extend(content(BasicProperties::default()));
        let out = pass(&stream, 5);
        let (rest, method) = parse_frame(&out[..]).unwrap();
        assert!(format!("{method:?}").contains("order.?"), "{method:?}");
        let (rest, AMQPFrame::Header(1, first)) = parse_frame(rest).unwrap() else { panic!() };
        assert!(said(&first.properties).contains("the routing key is not UTF-8"));
        assert_eq!(*first.properties.priority(), Some(3));
        let (_, AMQPFrame::Header(1, second)) = parse_frame(rest).unwrap() else { panic!() };
        assert_eq!(
            second.properties,
            BasicProperties::default(),
            "the next message has nothing to do with it"
        );
    }

    #[test]
    fn a_repaired_header_is_no_larger_than_a_frame() {
        let large = nested(b'A', 70);
        let mut bytes = vec![0x20, 0];
        let mut table = b"\x01n".to_vec();
        table.extend_from_slice(&large);
        table.extend_from_slice(b"\x01fx");
        let filler = FRAME_MAX - 8 - 12 - 6 - table.len() - 4;
        table.extend_from_slice(&(filler as u32).to_be_bytes());
        table.extend(vec![7; filler]);
        bytes.extend_from_slice(&(table.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&table);
        let frame = raw_content(&bytes);
        assert_eq!(frame.len(), FRAME_MAX);
        assert!(pass(&frame, usize::MAX).len() <= FRAME_MAX);
        assert!(said(&parsed(&frame)).contains("nested"));
    }

    #[test]
    fn another_protocol_passes_as_it_is() {
        assert_eq!(pass(b"AMQP\0\0\x09\x01", 3), b"AMQP\0\0\x09\x01");
        assert_eq!(pass(&HEARTBEAT, 1), HEARTBEAT);
    }

    fn value() -> impl Strategy<Value = AMQPValue> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(AMQPValue::Boolean),
            any::<i64>().prop_map(AMQPValue::LongLongInt),
            any::<u64>().prop_map(AMQPValue::Timestamp),
            any::<f64>().prop_map(AMQPValue::Double),
            ".{0,20}".prop_map(|text| AMQPValue::LongString(text.as_str().into())),
            Just(AMQPValue::Void),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(|values| {
                    let mut array = FieldArray::default();
                    values.into_iter().for_each(|value| array.push(value));
                    AMQPValue::FieldArray(array)
                }),
                prop::collection::vec(("[a-zä]{0,9}", inner), 0..4)
                    .prop_map(|entries| AMQPValue::FieldTable(table(entries))),
            ]
        })
    }

    fn table(entries: Vec<(String, AMQPValue)>) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in entries {
            table.insert(name.as_str().into(), value);
        }
        table
    }

    proptest! {
        #[test]
        fn a_readable_message_passes_unchanged(
            entries in prop::collection::vec(("[a-zä]{0,9}", value()), 0..5),
            id in ".{0,20}",
            piece in 1usize..64,
        ) {
            let properties = BasicProperties::default().with_message_id(id.as_str().into()).with_headers(table(entries));
            let frame = content(properties);
            prop_assert_eq!(pass(&frame, piece), frame);
        }

        /// Whatever RabbitMQ passes on, lapin gets what it can parse.
        #[test]
        fn no_content_header_breaks_the_client(
            entries in prop::collection::vec(("[a-zä]{0,9}", value()), 0..5),
            noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            random in prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 0..60)),
        ) {
            let mut frame = match random {
                Some(bytes) => raw_content(&bytes),
                None => content(BasicProperties::default().with_type("t".into()).with_headers(table(entries))),
            };
            let (from, to) = (START + 12, frame.len() - 1);
            for (place, byte) in noise {
                if to > from {
                    frame[from + place.index(to - from)] = byte;
                }
            }
            let out = pass(&frame, usize::MAX);
            let (rest, _) = parse_frame(&out[..]).unwrap();
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_stream_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
            pass(&bytes, piece);
        }
    }
}
