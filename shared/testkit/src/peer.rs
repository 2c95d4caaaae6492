use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// A peer on a free loopback port that speaks any protocol, or none, as its script says. It has threads of its own, and so goes on while the runtime of a test stands
/// still, as what is outside of a frozen function does.
pub struct Peer {
    address: String,
}

impl Peer {
    /// Starts it. `script` is given each connection with its number, from 0; a connection ends with its script.
    ///
    /// # Panics
    /// No loopback port can be bound.
    pub fn start(script: impl Fn(usize, &mut Talk) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("a bound port").to_string();
        let script = Arc::new(script);
        thread::spawn(move || {
            for (number, connection) in listener.incoming().map_while(Result::ok).enumerate() {
                let script = Arc::clone(&script);
                thread::spawn(move || script(number, &mut Talk(BufReader::new(connection))));
            }
        });
        Self { address }
    }

    /// Starts one that speaks as Redis does: `answer` is given the number of each connection and a command, and tells the answer without the end of its line, or ends the
    /// connection by `None`. How a client introduces itself is answered.
    ///
    /// # Panics
    /// No loopback port can be bound.
    pub fn redis(answer: impl Fn(usize, &[String]) -> Option<String> + Send + Sync + 'static) -> Self {
        Self::start(move |number, talk| {
            while let Some(command) = talk.command() {
                let said = if command[0] == "CLIENT" { Some("+OK".to_owned()) } else { answer(number, &command) };
                match said {
                    Some(said) => talk.say(&format!("{said}\r\n")),
                    None => return talk.close(),
                }
            }
        })
    }

    /// Its address: `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// One connection to a [`Peer`], as its script sees it. What the other side no longer hears is lost.
pub struct Talk(BufReader<TcpStream>);

impl Talk {
    /// The next line, without its end; `None` when the other side has ended.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).ok().filter(|length| *length > 0)?;
        Some(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The first bytes that come, as many as have come.
    pub fn bytes(&mut self) -> Vec<u8> {
        let bytes = self.0.fill_buf().map(<[u8]>::to_vec).unwrap_or_default();
        self.0.consume(bytes.len());
        bytes
    }

    /// Reads an HTTP request with its body; `None` when the other side has ended.
    pub fn request(&mut self) -> Option<String> {
        let first = self.line()?;
        let mut length = 0;
        while let Some(header) = self.line().filter(|header| !header.is_empty()) {
            let (name, value) = header.split_once(':').unwrap_or_default();
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        self.0.read_exact(&mut vec![0; length]).ok()?;
        Some(first)
    }

    /// Reads a command of Redis: its words; `None` when the other side has ended.
    pub fn command(&mut self) -> Option<Vec<String>> {
        let count: usize = self.line()?.strip_prefix('*')?.parse().ok()?;
        let word = |_| {
            let length: usize = self.line()?.strip_prefix('$')?.parse().ok()?;
            let mut word = vec![0; length + 2];
            self.0.read_exact(&mut word).ok()?;
            Some(String::from_utf8_lossy(&word[..length]).into_owned())
        };
        (0..count).map(word).collect()
    }

    /// Says this.
    pub fn say(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).ok();
    }

    /// Says no more, and hears no more.
    pub fn close(&mut self) {
        self.0.get_mut().shutdown(Shutdown::Both).ok();
    }

    /// Listens without a word until the other side ends.
    pub fn listen(&mut self) {
        self.0.read_to_end(&mut Vec::new()).ok();
    }
}
