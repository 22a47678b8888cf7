//! The images of the demo: which there are, their files, and the check that a file read back is still that image.
//!
//! They are drawn when the demo starts rather than shipped, so the demo needs no files and still handles real ones,
//! in real formats. What they show is in [`super::paint`]. No network, no disk.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ImageFormat, ImageReader};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::paint::{Scene, Shape, paint};

/// JPEG quality, 1 to 100: what photo sites commonly use.
const JPEG_QUALITY: u8 = 82;

/// What stays as it is in a URL path: RFC 3986, section 3.3, without the percent sign, and with the slash between
/// segments.
const OUTSIDE_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// One image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name as bytes on disk: no slash in front, not percent-encoded.
    pub path: String,
    /// File format; the name's extension says the same.
    pub format: Format,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The whole file.
    pub bytes: Bytes,
}

impl Image {
    /// The path as it stands in a URL, with the slash in front and percent-encoded.
    pub fn url_path(&self) -> String {
        url_path(&self.path)
    }
}

/// The URL path of the object with this name.
pub fn url_path(name: &str) -> String {
    format!("/{}", utf8_percent_encode(name, OUTSIDE_PATH))
}

/// The file formats drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lossless, with transparency for icons.
    Png,
    /// Lossy.
    Jpeg,
    /// 256 colours.
    Gif,
    /// Not compressed.
    Bmp,
    /// Lossless.
    Webp,
    /// Text; not decoded, only looked at.
    Svg,
}

impl Format {
    /// The media type that every node must answer with.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Png => "image/png",
            Format::Jpeg => "image/jpeg",
            Format::Gif => "image/gif",
            Format::Bmp => "image/x-ms-bmp",
            Format::Webp => "image/webp",
            Format::Svg => "image/svg+xml",
        }
    }

    fn raster(self) -> Option<ImageFormat> {
        match self {
            Format::Png => Some(ImageFormat::Png),
            Format::Jpeg => Some(ImageFormat::Jpeg),
            Format::Gif => Some(ImageFormat::Gif),
            Format::Bmp => Some(ImageFormat::Bmp),
            Format::Webp => Some(ImageFormat::WebP),
            Format::Svg => None,
        }
    }
}

/// An image could not be drawn, or what came back is not the image that was drawn.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Drawing failed; nothing was stored.
    #[error("{path} could not be written as an image file: {source}")]
    Encode {
        /// Name of the image.
        path: String,
        /// What the encoder said.
        source: image::ImageError,
    },
    /// The bytes are no image, or a damaged one.
    #[error("{path} does not decode: {source}")]
    Decode {
        /// Name of the image.
        path: String,
        /// What the decoder said.
        source: image::ImageError,
    },
    /// The bytes are an image, but another one.
    #[error("{path} decodes as {found}, but was drawn as {drawn}")]
    Another {
        /// Name of the image.
        path: String,
        /// Format and size found.
        found: String,
        /// Format and size drawn.
        drawn: String,
    },
}

/// What to draw: name, scene, the seed that decides its details, and size. The format follows from the name.
struct Sketch {
    path: String,
    scene: Scene,
    seed: u64,
    size: (u32, u32),
}

/// Draws the images of the demo, on two threads. The same seed gives the same files.
///
/// # Errors
/// When an encoder fails, with the name of the image.
pub fn draw(seed: u64) -> Result<Vec<Image>, ImageError> {
    let sketches = sketches(seed);
    // Every other one to each thread: neighbours in the list are of similar size.
    let mut drawn = std::thread::scope(|scope| {
        let other = scope.spawn(|| draw_every_second(&sketches[1..]));
        let mine = draw_every_second(&sketches);
        let theirs = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        mine.into_iter().chain(theirs).collect::<Result<Vec<Image>, ImageError>>()
    })?;
    drawn.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(drawn)
}

fn draw_every_second(sketches: &[Sketch]) -> Vec<Result<Image, ImageError>> {
    sketches.iter().step_by(2).map(draw_one).collect()
}

fn sketches(seed: u64) -> Vec<Sketch> {
    let mut sketches = Vec::new();
    let mut add = |path: String, scene, which: u64, size| {
        sketches.push(Sketch { path, scene, seed: seed.wrapping_mul(1000).wrapping_add(which), size });
    };
    let photos =
        [(1600, 1200), (1024, 768), (800, 533), (800, 600), (640, 427), (640, 480), (480, 640), (400, 300)];
    for (number, size) in (1..).zip(photos) {
        add(format!("photos/2026/harbour-{number:02}.jpg"), Scene::Harbour, number, size);
        add(format!("thumbs/2026/harbour-{number:02}.jpg"), Scene::Harbour, number, (size.0 / 8, size.1 / 8));
    }
    add("photos/2026/Fähre nach Helsingør.jpg".to_owned(), Scene::Harbour, 20, (640, 480));
    add("banners/dusk.webp".to_owned(), Scene::Harbour, 21, (960, 240));
    add("banners/waves.webp".to_owned(), Scene::Plasma, 22, (728, 90));
    for number in 1..=3 {
        add(format!("patterns/plasma-{number}.png"), Scene::Plasma, 30 + number, (256, 256));
    }
    add("patterns/tiles.gif".to_owned(), Scene::Tiles, 40, (192, 192));
    add("patterns/stripes.gif".to_owned(), Scene::Stripes, 41, (128, 128));
    add("scans/bars.bmp".to_owned(), Scene::Bars, 42, (320, 240));
    add("scans/tiles.bmp".to_owned(), Scene::Tiles, 43, (200, 200));
    add("sale/50% off + more.png".to_owned(), Scene::Stripes, 44, (300, 250));
    add("favicon-16.png".to_owned(), Scene::Icon(Shape::Ring), 50, (16, 16));
    add("favicon-32.png".to_owned(), Scene::Icon(Shape::Ring), 50, (32, 32));
    let icons = [
        ("star", Shape::Star, 24),
        ("heart", Shape::Heart, 32),
        ("ring", Shape::Ring, 48),
        ("moon", Shape::Moon, 64),
        ("plus", Shape::Plus, 96),
        ("play", Shape::Play, 128),
    ];
    for (which, (name, shape, size)) in (60..).zip(icons) {
        add(format!("icons/{name}.png"), Scene::Icon(shape), which, (size, size));
    }
    add("logo.svg".to_owned(), Scene::Icon(Shape::Star), 70, (240, 80));
    sketches
}

fn draw_one(sketch: &Sketch) -> Result<Image, ImageError> {
    let Sketch { path, scene, seed, size: (width, height) } = sketch;
    let (width, height) = (*width, *height);
    let format = format_of(path);
    let mut bytes = Cursor::new(Vec::new());
    let written = match (format.raster(), format) {
        (None, _) => {
            bytes.get_mut().extend_from_slice(svg(width, height).as_bytes());
            Ok(())
        }
        (_, Format::Jpeg) => paint(*scene, *seed, width, height)
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)),
        (_, Format::Webp) => {
            paint(*scene, *seed, width, height).write_with_encoder(WebPEncoder::new_lossless(&mut bytes))
        }
        (Some(raster), _) => paint(*scene, *seed, width, height).write_to(&mut bytes, raster),
    };
    written.map_err(|source| ImageError::Encode { path: path.clone(), source })?;
    Ok(Image { path: path.clone(), format, width, height, bytes: bytes.into_inner().into() })
}

fn format_of(path: &str) -> Format {
    match path.rsplit_once('.') {
        Some((_, "jpg")) => Format::Jpeg,
        Some((_, "gif")) => Format::Gif,
        Some((_, "bmp")) => Format::Bmp,
        Some((_, "webp")) => Format::Webp,
        Some((_, "svg")) => Format::Svg,
        _ => Format::Png,
    }
}

fn svg(width: u32, height: u32) -> String {
    format!(
        "{}\n  <title>webdfs</title>\n  <rect width=\"100%\" height=\"100%\" rx=\"12\" fill=\"#12343b\"/>\n  \
         <circle cx=\"40\" cy=\"40\" r=\"22\" fill=\"none\" stroke=\"#e1b382\" stroke-width=\"8\"/>\n  \
         <text x=\"80\" y=\"52\" font-family=\"sans-serif\" font-size=\"36\" fill=\"#fff\">webdfs</text>\n</svg>\n",
        svg_start(width, height)
    )
}

fn svg_start(width: u32, height: u32) -> String {
    format!(r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">"#)
}

/// Decodes `bytes` again: they must be an image of the format and size that was drawn. For SVG, the first and the
/// last element must stand where they were.
///
/// # Errors
/// Says what the bytes are instead.
pub fn check(image: &Image, bytes: &[u8]) -> Result<(), ImageError> {
    let path = || image.path.clone();
    let decode_error = |source| ImageError::Decode { path: path(), source };
    let another = |found: String| ImageError::Another {
        path: path(),
        found,
        drawn: format!("{:?} {}x{}", image.format, image.width, image.height),
    };
    let Some(raster) = image.format.raster() else {
        let whole = bytes.starts_with(svg_start(image.width, image.height).as_bytes())
            && bytes.ends_with(b"</svg>\n");
        return if whole { Ok(()) } else { Err(another(format!("{} bytes of something else", bytes.len()))) };
    };
    let reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| decode_error(image::ImageError::IoError(error)))?;
    let found = reader.format();
    let decoded = reader.decode().map_err(decode_error)?;
    if found == Some(raster) && (decoded.width(), decoded.height()) == (image.width, image.height) {
        return Ok(());
    }
    let name = found.map_or_else(|| "nothing known".to_owned(), |format| format!("{format:?}"));
    Err(another(format!("{name} {}x{}", decoded.width(), decoded.height())))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::LazyLock;

    use super::*;

    static IMAGES: LazyLock<Vec<Image>> = LazyLock::new(|| draw(5).expect("the encoders work"));

    fn find(path: &str) -> &'static Image {
        IMAGES.iter().find(|image| image.path == path).expect("such an image is drawn")
    }

    #[test]
    fn every_image_decodes_as_the_format_and_size_it_was_drawn_in() {
        assert_eq!(IMAGES.len(), 36);
        for image in IMAGES.iter() {
            check(image, &image.bytes).unwrap_or_else(|error| panic!("{error}"));
        }
        let names: HashSet<&str> = IMAGES.iter().map(|image| image.path.as_str()).collect();
        assert_eq!(names.len(), IMAGES.len(), "every name is used once");
        let types: HashSet<&str> = IMAGES.iter().map(|image| image.format.media_type()).collect();
        assert_eq!(types.len(), 6, "every format is there");
    }

    #[test]
    fn the_same_seed_gives_the_same_files() {
        let of_seed = |seed| draw_one(&sketches(seed).swap_remove(1)).expect("the encoder works");
        assert_eq!(of_seed(5), of_seed(5));
        assert_ne!(of_seed(5).bytes, of_seed(6).bytes);
    }

    #[test]
    fn names_are_encoded_for_urls_so_that_each_character_stands_for_itself() {
        assert_eq!(find("icons/star.png").url_path(), "/icons/star.png");
        assert_eq!(find("sale/50% off + more.png").url_path(), "/sale/50%25%20off%20+%20more.png");
        assert_eq!(
            find("photos/2026/Fähre nach Helsingør.jpg").url_path(),
            "/photos/2026/F%C3%A4hre%20nach%20Helsing%C3%B8r.jpg"
        );
    }

    #[test]
    fn damaged_cut_and_exchanged_files_are_noticed() {
        let image = find("patterns/plasma-1.png");
        let cut = check(image, &image.bytes[..image.bytes.len() / 2]);
        assert!(matches!(cut, Err(ImageError::Decode { .. })), "{cut:?}");
        let nothing = check(image, b"");
        assert!(matches!(nothing, Err(ImageError::Decode { .. })), "{nothing:?}");

        let other = check(find("favicon-16.png"), &find("favicon-32.png").bytes).expect_err("another image");
        assert_eq!(other.to_string(), "favicon-16.png decodes as Png 32x32, but was drawn as Png 16x16");
        let format = check(find("favicon-16.png"), &find("patterns/tiles.gif").bytes);
        assert!(matches!(format, Err(ImageError::Another { .. })), "{format:?}");
        let text = check(find("logo.svg"), b"<html>");
        assert!(matches!(text, Err(ImageError::Another { .. })), "{text:?}");
    }
}
