//! The vectors of RFC 3962 and RFC 8009, and what must not be taken.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn the_last_two_blocks_change_places_as_in_rfc_3962() {
    let cipher = Cipher::new(b"chicken teriyaki");
    let text = b"I would like the General Gau's Chicken, please, and wonton soup.";
    for (length, bytes) in [
        (17, "c6353568f2bf8cb4d8a580362da7ff7f 97"),
        (31, "fc00783e0efdb2c1d445d4c8eff7ed22 97687268d6ecccc0c07b25e25ecfe5"),
        (32, "39312523a78662d5be7fcbcc98ebf5a8 97687268d6ecccc0c07b25e25ecfe584"),
        (
            47,
            "97687268d6ecccc0c07b25e25ecfe584 b3fffd940c16a18c1b5549d2f838029e \
             39312523a78662d5be7fcbcc98ebf5",
        ),
        (
            64,
            "97687268d6ecccc0c07b25e25ecfe584 39312523a78662d5be7fcbcc98ebf5a8 \
             4807efe836ee89a526730dbc2f7bc840 9dad8bbb96c4cdc03bc103e1a194bbd8",
        ),
    ] {
        assert_eq!(cipher.encrypt(&text[..length]), hex(bytes), "{length}");
        assert_eq!(cipher.decrypt(&hex(bytes)), &text[..length], "{length}");
    }
    let block = cipher.encrypt(&text[..16]);
    assert_eq!(cipher.decrypt(&block), &text[..16]);
}

#[test]
fn keys_are_derived_as_in_rfc_8009() {
    let short = Key::new(Etype::Aes128Sha2, &hex("3705D96080C17728A0E800EAB6E0D23C"));
    let long = "6D404D37FAF79F9DF0D33568D320669800EB4836472EA8A026D16B7182460C52";
    let long = Key::new(Etype::Aes256Sha2, &hex(long));
    for (key, checksum, encryption, integrity) in [
        (
            short.expect("a key"),
            "B31A018A48F54776F403E9A396325DC3",
            "9B197DD1E8C5609D6E67C3E37C62C72E",
            "9FDA0E56AB2D85E1569A688696C26A6C",
        ),
        (
            long.expect("a key"),
            "EF5718BE86CC84963D8BBB5031E9F5C4BA41F28FAF69E73D",
            "56AB22BEE63D82D7BC5227F6773F8EA7A5EB1C825160C38312980C442E5C7E49",
            "69B16514E3CD8E56B82010D5C73012B622C4D00FFC23ED1F",
        ),
    ] {
        assert_eq!(*key.derived(2, CHECKSUM, true), hex(checksum));
        assert_eq!(*key.derived(2, ENCRYPTION, false), hex(encryption));
        assert_eq!(*key.derived(2, INTEGRITY, true), hex(integrity));
    }
}

#[test]
fn text_is_encrypted_as_in_rfc_8009() {
    let key = Key::new(Etype::Aes128Sha2, &hex("3705D96080C17728A0E800EAB6E0D23C"));
    let confounder = array(&hex("7E5895EAF2672435BAD817F545A37148"));
    let bytes = key.expect("a key").encrypt(2, confounder, b"");
    assert_eq!(bytes, hex("EF85FB890BB8472F4DAB20394DCA781DAD877EDA39D50C870C0D5A0A8E48C718"));
}

#[test]
fn what_was_encrypted_is_read_again_and_nothing_else() {
    for etype in Etype::ALL {
        let key = Key::new(etype, &vec![7; etype.key_length()]).expect("a key");
        for length in [0, 1, 15, 16, 17, 32, 100] {
            let text = vec![3; length];
            let bytes = key.encrypt(11, [9; BLOCK], &text);
            assert_eq!(key.decrypt(11, &bytes).as_deref(), Ok(&text), "{etype:?} {length}");
            assert_eq!(key.decrypt(12, &bytes), Err(KerberosError::WrongKey));
            for index in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[index] ^= 0x40;
                assert_eq!(key.decrypt(11, &damaged), Err(KerberosError::WrongKey));
            }
            for short in 0..BLOCK + etype.mac_length() {
                assert_eq!(key.decrypt(11, &bytes[..short]), Err(SHORT));
            }
        }
        assert!(Key::new(etype, &[7; 5]).is_none());
        assert!(!format!("{key:?}").contains('7'));
    }
}
