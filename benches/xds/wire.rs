//! Just enough HTTP/2 and protobuf to be a client that costs next to nothing:
//! it finds the borders of messages and reads their short fields, and skips
//! the resources. Windows are opened as far as they go, once.

/// What a connection begins with: the preface, our settings (windows of
/// 2 GiB), and as much for the connection.
pub fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let window = i32::MAX.to_be_bytes();
    frame(4, 0, 0, &[&[0, 4], window.as_slice()].concat(), &mut bytes);
    frame(8, 0, 0, &(i32::MAX - 65_535).to_be_bytes(), &mut bytes);
    bytes
}

/// The headers of stream 1, a gRPC call of `path`, with a token where there is
/// one.
pub fn headers(path: &str, token: Option<&str>) -> Vec<u8> {
    let mut block = vec![0x83, 0x86];
    let mut text = |name: &[u8], value: &str| {
        block.extend_from_slice(name);
        block.push(u8::try_from(value.len()).expect("a short value"));
        block.extend_from_slice(value.as_bytes());
    };
    text(&[0x04], path);
    text(&[0x01], "bench");
    text(&[0x0f, 0x10], "application/grpc");
    text(&[0x00, 2, b't', b'e'], "trailers");
    if let Some(token) = token {
        text(&[0x0f, 0x08], &format!("Bearer {token}"));
    }
    let mut bytes = Vec::new();
    frame(1, 4, 1, &block, &mut bytes);
    bytes
}

/// A gRPC message on stream 1.
pub fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a short message").to_be_bytes();
    let framed = [&[0], length.as_slice(), body].concat();
    let mut bytes = Vec::with_capacity(framed.len() + 9);
    framed.chunks(16_384).for_each(|piece| frame(0, 0, 1, piece, &mut bytes));
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8], to: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    to.extend_from_slice(&length[1..]);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// A response without its resources.
#[derive(Debug, Default, Clone)]
pub struct Response {
    pub version: String,
    pub type_url: String,
    pub nonce: String,
    pub resources: usize,
    pub bytes: usize,
    /// Names and versions of its resources, where they are collected.
    pub versions: Vec<(String, String)>,
}

/// What came from the server.
pub enum Seen {
    Response(Response),
    /// Bytes that are to be written back.
    Reply(Vec<u8>),
    End,
}

/// Reads a connection piece by piece.
#[derive(Default)]
pub struct Reader {
    head: Vec<u8>,
    kind: u8,
    flags: u8,
    payload: usize,
    control: Vec<u8>,
    grpc: Messages,
}

impl Reader {
    /// A reader that keeps the versions of resources.
    pub fn collecting() -> Self {
        Self { grpc: Messages { collects: true, ..Messages::default() }, ..Self::default() }
    }

    /// Takes what was read; tells `see` what it means.
    pub fn feed(&mut self, mut data: &[u8], see: &mut impl FnMut(Seen)) {
        while !data.is_empty() {
            if self.payload == 0 {
                let take = data.len().min(9 - self.head.len());
                self.head.extend_from_slice(&data[..take]);
                data = &data[take..];
                if self.head.len() < 9 {
                    return;
                }
                self.payload = (usize::from(self.head[0]) << 16)
                    | (usize::from(self.head[1]) << 8)
                    | usize::from(self.head[2]);
                (self.kind, self.flags) = (self.head[3], self.head[4]);
                self.head.clear();
                if self.payload == 0 {
                    self.done(see);
                }
                continue;
            }
            let take = data.len().min(self.payload);
            match self.kind {
                0 => self.grpc.feed(&data[..take], see),
                _ => self.control.extend_from_slice(&data[..take]),
            }
            self.payload -= take;
            data = &data[take..];
            if self.payload == 0 {
                self.done(see);
            }
        }
    }

    fn done(&mut self, see: &mut impl FnMut(Seen)) {
        let control = std::mem::take(&mut self.control);
        let mut reply = Vec::new();
        match (self.kind, self.flags & 1) {
            (4, 0) => frame(4, 1, 0, &[], &mut reply),
            (6, 0) => frame(6, 1, 0, &control, &mut reply),
            (1, 1) | (3 | 7, _) => return see(Seen::End),
            _ => return,
        }
        see(Seen::Reply(reply));
    }
}

/// Finds gRPC messages and their short fields.
#[derive(Default)]
struct Messages {
    collects: bool,
    prefix: Vec<u8>,
    left: usize,
    key: Vec<u8>,
    field: u64,
    skip: usize,
    text: Option<Vec<u8>>,
    response: Response,
}

impl Messages {
    fn feed(&mut self, mut data: &[u8], see: &mut impl FnMut(Seen)) {
        while !data.is_empty() {
            if self.left == 0 {
                let take = data.len().min(5 - self.prefix.len());
                self.prefix.extend_from_slice(&data[..take]);
                data = &data[take..];
                if self.prefix.len() < 5 {
                    return;
                }
                let length = self.prefix[1..5].try_into().expect("four bytes");
                self.left = u32::from_be_bytes(length) as usize;
                self.prefix.clear();
                self.response.bytes = self.left;
            } else if self.skip > 0 {
                let take = data.len().min(self.skip);
                if let Some(text) = &mut self.text {
                    text.extend_from_slice(&data[..take]);
                }
                self.skip -= take;
                self.left -= take;
                data = &data[take..];
                if self.skip == 0 {
                    self.keep();
                }
            } else {
                self.key.push(data[0]);
                self.left -= 1;
                data = &data[1..];
                self.begin();
            }
            if self.left == 0 && self.prefix.is_empty() {
                see(Seen::Response(std::mem::take(&mut self.response)));
            }
        }
    }

    /// Begins a field once its key and length are there.
    fn begin(&mut self) {
        let mut rest = self.key.as_slice();
        let (Some(key), Some(length)) = (varint(&mut rest), varint(&mut rest)) else { return };
        self.key.clear();
        self.field = key >> 3;
        self.skip = usize::try_from(length).expect("it fits");
        let short = matches!(self.field, 1 | 4 | 5) || (self.field == 2 && self.collects);
        self.text = short.then(Vec::new);
        if self.skip == 0 {
            self.keep();
        }
    }

    fn keep(&mut self) {
        let text = self.text.take();
        let read = || String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned();
        match self.field {
            1 => self.response.version = read(),
            4 => self.response.type_url = read(),
            5 => self.response.nonce = read(),
            2 => {
                self.response.resources += 1;
                let entry = text.as_deref().filter(|_| self.collects).map(versioned);
                self.response.versions.extend(entry);
            }
            _ => {}
        }
    }
}

/// The name and the version of an entry of a delta response.
fn versioned(mut entry: &[u8]) -> (String, String) {
    let (mut name, mut version) = (String::new(), String::new());
    while let (Some(key), Some(length)) = (varint(&mut entry), varint(&mut entry)) {
        let (value, rest) = entry.split_at(usize::try_from(length).expect("it fits"));
        match key >> 3 {
            1 => version = String::from_utf8_lossy(value).into_owned(),
            3 => name = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
        entry = rest;
    }
    (name, version)
}

fn varint(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, byte) in data.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *data = &data[at + 1..];
            return Some(value);
        }
    }
    None
}
