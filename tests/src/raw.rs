//! A producer that writes frames byte by byte, as no client library lets it.

use amq_protocol::{
    frame::{AMQPContentHeader, AMQPFrame, ProtocolVersion, WriteContext, gen_frame, parse_frame},
    protocol::{AMQPClass, BasicProperties, basic, channel, confirm, connection},
    types::FieldTable,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use upshot_runtime::amqp::EVENTS;

/// The class and the weight of a content header.
const BASIC: [u8; 4] = [0, 60, 0, 0];
const FRAME_END: u8 = 0xCE;

/// A producer with a channel that confirms.
#[derive(Debug)]
pub struct RawProducer {
    stream: TcpStream,
    read: Vec<u8>,
}

impl RawProducer {
    /// Connects to `amqp://user:password@host:port/vhost?…`.
    pub async fn connect(url: &str) -> Self {
        let url: lapin::uri::AMQPUri = url.parse().unwrap();
        let authority = &url.authority;
        let stream = TcpStream::connect((authority.host.as_str(), authority.port)).await.unwrap();
        let mut raw = Self { stream, read: Vec::new() };
        raw.write(&AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1())).await;
        raw.next().await;
        let login = format!("\0{}\0{}", authority.userinfo.username, authority.userinfo.password);
        let start = connection::StartOk {
            client_properties: FieldTable::default(),
            mechanism: "PLAIN".into(),
            response: login.as_str().into(),
            locale: "en_US".into(),
        };
        raw.method(0, AMQPClass::Connection(connection::AMQPMethod::StartOk(start))).await;
        raw.next().await;
        let tune = connection::TuneOk { channel_max: 10, frame_max: 131_072, heartbeat: 0 };
        raw.method(0, AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune))).await;
        let open = connection::Open { virtual_host: url.vhost.as_str().into() };
        raw.method(0, AMQPClass::Connection(connection::AMQPMethod::Open(open))).await;
        raw.next().await;
        raw.method(1, AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}))).await;
        raw.next().await;
        let select = confirm::Select { nowait: false };
        raw.method(1, AMQPClass::Confirm(confirm::AMQPMethod::Select(select))).await;
        raw.next().await;
        raw
    }

    /// Publishes a message with these properties, flags and all, and waits for the confirm.
    pub async fn publish(&mut self, routing_key: &[u8], properties: &[u8], body: &[u8]) {
        let publish = basic::Publish {
            exchange: EVENTS.into(),
            routing_key: "".into(),
            mandatory: false,
            immediate: false,
        };
        let mut method =
            written(&AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))));
        // The routing key is written manually: its length, before one byte of bits and the end.
        let place = method.len() - 3;
        method.splice(
            place..=place,
            std::iter::once(routing_key.len() as u8).chain(routing_key.iter().copied()),
        );
        let size = (method.len() - 8) as u32;
        method[3..7].copy_from_slice(&size.to_be_bytes());
        self.stream.write_all(&method).await.unwrap();
        let header = [&BASIC[..], &(body.len() as u64).to_be_bytes(), properties].concat();
        self.frame(2, &header).await;
        self.frame(3, body).await;
        let answer = self.next().await;
        let is_ack = matches!(&answer, AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(_))));
        assert!(is_ack, "RabbitMQ did not take the message: {answer:?}");
    }

    /// Properties as a client library writes them.
    pub fn properties(properties: BasicProperties) -> Vec<u8> {
        let header = AMQPContentHeader { class_id: 60, body_size: 0, properties };
        let frame = written(&AMQPFrame::Header(1, header));
        frame[7 + 12..frame.len() - 1].to_vec()
    }

    async fn method(&mut self, channel: u16, method: AMQPClass) {
        self.write(&AMQPFrame::Method(channel, method)).await;
    }

    async fn write(&mut self, frame: &AMQPFrame) {
        self.stream.write_all(&written(frame)).await.unwrap();
    }

    async fn frame(&mut self, kind: u8, payload: &[u8]) {
        let size = (payload.len() as u32).to_be_bytes();
        let frame = [&[kind, 0, 1], &size[..], payload, &[FRAME_END]].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    async fn next(&mut self) -> AMQPFrame {
        loop {
            if let Ok((rest, frame)) = parse_frame(&self.read[..]) {
                let left = rest.len();
                self.read.drain(..self.read.len() - left);
                return frame;
            }
            let n = self.stream.read_buf(&mut self.read).await.unwrap();
            assert!(n > 0, "RabbitMQ closed the connection");
        }
    }
}

fn written(frame: &AMQPFrame) -> Vec<u8> {
    let context: WriteContext<Vec<u8>> = Vec::new().into();
    gen_frame(frame)(context).unwrap().into_inner().0
}
