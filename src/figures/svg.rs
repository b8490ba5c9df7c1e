//! The elements of which the figures are made.

use std::fmt::Write;

/// Around a drawing that is a file of its own, in pixels.
const MARGIN: f64 = 16.0;
const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/// An SVG drawing in the making. Units are CSS pixels; the drawing shrinks with the page but never grows beyond its size.
pub struct Svg {
    width: f64,
    height: f64,
    title: String,
    description: String,
    body: String,
}

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Svg {
    /// An empty drawing with the title and description that a screen reader reads.
    pub fn new(width: f64, height: f64, title: &str, description: &str) -> Svg {
        Svg { width, height, title: escape(title), description: escape(description), body: String::new() }
    }

    /// A filled rectangle.
    pub fn rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str) {
        let (x, y, width, height) = (short(x), short(y), short(width), short(height));
        let fill = escape(fill);
        let _ = write!(self.body, r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"/>"#);
    }

    /// A filled rectangle with a thin dark edge and a tooltip.
    pub fn edged_rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str, tip: &str) {
        let (x, y, width, height) = (short(x), short(y), short(width), short(height));
        let (fill, tip) = (escape(fill), escape(tip));
        let _ = write!(
            self.body,
            r##"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}" stroke="#3b4252" stroke-width=".6"><title>{tip}</title></rect>"##
        );
    }

    /// A filled rectangle with a tooltip.
    pub fn tipped_rect(&mut self, [x, y, width, height]: [f64; 4], fill: &str, tip: &str) {
        let (x, y, width, height) = (short(x), short(y), short(width), short(height));
        let (fill, tip) = (escape(fill), escape(tip));
        let _ = write!(
            self.body,
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"><title>{tip}</title></rect>"#
        );
    }

    /// A straight line.
    pub fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], stroke: &str, width: f64) {
        let (x1, y1, x2, y2, stroke) = (short(x1), short(y1), short(x2), short(y2), escape(stroke));
        let _ = write!(
            self.body,
            r#"<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{stroke}" stroke-width="{width}"/>"#
        );
    }

    /// Straight lines from point to point.
    pub fn polyline(&mut self, points: impl IntoIterator<Item = [f64; 2]>, stroke: &str, width: f64) {
        let points: Vec<String> = points.into_iter().map(|[x, y]| format!("{},{}", short(x), short(y))).collect();
        let (points, stroke) = (points.join(" "), escape(stroke));
        let _ =
            write!(self.body, r#"<polyline points="{points}" fill="none" stroke="{stroke}" stroke-width="{width}"/>"#);
    }

    /// A dot with a tooltip.
    pub fn dot(&mut self, [x, y]: [f64; 2], radius: f64, fill: &str, tip: &str) {
        let (x, y, fill, tip) = (short(x), short(y), escape(fill), escape(tip));
        let _ = write!(
            self.body,
            r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}" fill-opacity=".75"><title>{tip}</title></circle>"#
        );
    }

    /// A text of a size in pixels, on its baseline.
    pub fn text(&mut self, [x, y]: [f64; 2], size: f64, anchor: Anchor, fill: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y, fill, text) = (short(x), short(y), escape(fill), escape(text));
        let _ = write!(
            self.body,
            r#"<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{fill}">{text}</text>"#
        );
    }

    /// A text that runs upwards from its point.
    pub fn text_upwards(&mut self, [x, y]: [f64; 2], size: f64, fill: &str, text: &str) {
        let (x, y, fill, text) = (short(x), short(y), escape(fill), escape(text));
        let _ = write!(
            self.body,
            r#"<text transform="translate({x} {y}) rotate(-90)" font-size="{size}" fill="{fill}">{text}</text>"#
        );
    }

    /// Pixels (`columns` times as many rows, red, green, blue, opacity) shown as squares.
    pub fn image(&mut self, [x, y, width, height]: [f64; 4], columns: usize, rgba: &[u8]) {
        let (x, y, width, height) = (short(x), short(y), short(width), short(height));
        let uri = data_uri(&png(columns, rgba.len() / 4 / columns, rgba));
        let _ = write!(
            self.body,
            r#"<image x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none" style="image-rendering:pixelated" href="{uri}"/>"#
        );
    }

    /// Keeps an outline (SVG path data) under a name that is unique on the page, to be drawn with [`Svg::reuse`].
    pub fn define(&mut self, id: &str, path: &str) {
        let (id, path) = (escape(id), escape(path));
        let _ = write!(
            self.body,
            r#"<defs><path id="{id}" d="{path}" fill="none" stroke-width=".8" vector-effect="non-scaling-stroke"/></defs>"#
        );
    }

    /// Draws a defined outline, moved and scaled.
    pub fn reuse(&mut self, id: &str, [x, y]: [f64; 2], [sx, sy]: [f64; 2], stroke: &str) {
        let (id, x, y, stroke) = (escape(id), short(x), short(y), escape(stroke));
        let _ = write!(
            self.body,
            r##"<use href="#{id}" transform="translate({x} {y}) scale({sx:.5} {sy:.5})" stroke="{stroke}"/>"##
        );
    }

    /// The text of the element, for a page that says what its letters look like.
    pub fn finish(self) -> String {
        let Svg { width, height, title, description, body } = self;
        let [width, height] = [width, height].map(|length| short(length.ceil()));
        format!(
            r#"<svg viewBox="0 0 {width} {height}" style="width:{width}px" role="img"><title>{title}</title><desc>{description}</desc>{body}</svg>"#
        )
    }

    /// The text of a file of its own.
    pub fn file(self) -> String {
        as_file(&self.finish())
    }
}

/// A drawing of this room, made as an element of a page, as a file of its own: on white, with a margin, in letters without serifs.
pub fn as_file(element: &str) -> String {
    let (opening, rest) = element.split_once('>').expect("an element of this file's making");
    let (words, body) = rest.split_once("</desc>").expect("it has a description");
    let size = opening.split('"').nth(1).expect("its size comes first").split(' ').skip(2);
    let size = size.map(|length| short(length.parse::<f64>().expect("a length") + 2.0 * MARGIN)).collect::<Vec<_>>();
    let [width, height] = [&size[0], &size[1]];
    format!(
        r##"<svg viewBox="-{MARGIN} -{MARGIN} {width} {height}" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="{FONTS}" role="img">{words}</desc><rect x="-{MARGIN}" y="-{MARGIN}" width="{width}" height="{height}" fill="#fff"/>{body}
"##
    )
}

/// 8-bit RGBA as a PNG file.
fn png(width: usize, height: usize, rgba: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    let mut writer = encoder.write_header().expect("memory takes every byte");
    writer.write_image_data(rgba).expect("as many bytes as pixels need");
    writer.finish().expect("memory takes every byte");
    bytes
}

/// A PNG as an address that needs no other file.
pub fn data_uri(png: &[u8]) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine};
    format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png))
}

/// Text as it may stand in an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A coordinate with two decimals at most.
fn short(value: f64) -> String {
    crate::study::table::cell(value, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let mut svg = Svg::new(10.0, 10.0, "<a>", "\"b\"");
        svg.text([0.0, 0.0], 9.0, Anchor::Start, "#000", "<script>");
        let svg = svg.finish();
        assert!(!svg.contains("<script>") && !svg.contains("<a>") && svg.contains("&lt;script&gt;"), "{svg}");
    }

    #[test]
    fn a_file_says_what_it_is_and_brings_its_letters_and_its_paper() {
        let file = Svg::new(10.0, 20.0, "a", "b").file();
        assert!(file.starts_with("<svg viewBox=\"-16 -16 42 52\" xmlns=\"http://www.w3.org/2000/svg\""), "{file}");
        assert!(file.contains("font-family=") && file.contains("fill=\"#fff\""), "{file}");
    }

    #[test]
    fn an_element_becomes_a_file_with_its_words_first_and_its_drawing_on_white() {
        let mut svg = Svg::new(10.0, 20.0, "a > b", "c");
        svg.text([0.0, 0.0], 9.0, Anchor::Start, "#000", "d");
        let file = as_file(&svg.finish());
        assert!(file.contains("<title>a &gt; b</title><desc>c</desc><rect x=\"-16\""), "{file}");
        assert!(file.ends_with(">d</text></svg>\n") && !file.contains("style=\"width"), "{file}");
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!(short(1.0 / 3.0), "0.33");
        assert_eq!(short(12.0), "12");
    }
}
