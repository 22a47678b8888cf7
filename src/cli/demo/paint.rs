//! The pictures of the demo, pixel by pixel: a harbour at dusk, plasma, tiles, bars, stripes and icons.
//!
//! Every picture is a function of a seed and of the place in the picture (0 to 1 across and down), so one scene can
//! be painted in several sizes and a thumbnail shows what its photo shows. No file formats here.  Pure.

use std::f32::consts::{PI, TAU};

use fastrand::Rng;
use image::{DynamicImage, Rgb, RgbImage, Rgba, RgbaImage};

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Sky, sun, hills, a boat, and all of it mirrored in the water.
    Harbour,
    /// Soft bands of colour.
    Plasma,
    /// Quarter circles, turned at random, in three colours.
    Tiles,
    /// A bar chart.
    Bars,
    /// Diagonal stripes.
    Stripes,
    /// A shape on a transparent ground.
    Icon(Shape),
}

/// The shapes of icons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Five points.
    Star,
    /// A heart.
    Heart,
    /// A circle with a hole.
    Ring,
    /// A crescent.
    Moon,
    /// A plus sign.
    Plus,
    /// A triangle that points to the right.
    Play,
}

type Colour = [f32; 3];

/// Paints `scene` as `seed` has it. The same arguments give the same pixels.
pub fn paint(scene: Scene, seed: u64, width: u32, height: u32) -> DynamicImage {
    let mut random = Rng::with_seed(seed);
    match scene {
        Scene::Harbour => {
            let harbour = Harbour::new(&mut random);
            fill(width, height, |across, down| harbour.colour(across, down))
        }
        Scene::Plasma => {
            let (turn, hue) = (random.f32() * TAU, random.f32());
            fill(width, height, |across, down| plasma(turn, hue, across, down))
        }
        Scene::Tiles => {
            let (salt, hue) = (random.u32(..), random.f32());
            fill(width, height, |across, down| tiles(salt, hue, across, down))
        }
        Scene::Bars => {
            let bars: Vec<f32> = (0..8).map(|_| 0.2 + 0.65 * random.f32()).collect();
            let hue = random.f32();
            fill(width, height, |across, down| bar_chart(&bars, hue, across, down))
        }
        Scene::Stripes => {
            let (hue, count) = (random.f32(), random.u32(6..12) as f32);
            fill(width, height, |across, down| {
                let place = ((across + down) * count).rem_euclid(1.0);
                mix(spectrum(hue), [1.0, 0.97, 0.9], step((place - 0.5).abs() - 0.25, 0.03))
            })
        }
        Scene::Icon(shape) => icon(shape, spectrum(random.f32()), width, height),
    }
}

fn fill(width: u32, height: u32, colour: impl Fn(f32, f32) -> Colour) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| {
        let (across, down) = centre(x, y, width, height);
        Rgb(colour(across, down).map(byte))
    })
    .into()
}

fn icon(shape: Shape, colour: Colour, width: u32, height: u32) -> DynamicImage {
    let blur = 2.0 / width as f32;
    RgbaImage::from_fn(width, height, |x, y| {
        let (across, down) = centre(x, y, width, height);
        let shade = mix(colour, [1.0; 3], 0.35 * (1.0 - down));
        let cover = step(-outside(shape, across * 2.0 - 1.0, 1.0 - down * 2.0), blur);
        let [red, green, blue] = shade.map(byte);
        Rgba([red, green, blue, byte(cover)])
    })
    .into()
}

fn centre(x: u32, y: u32, width: u32, height: u32) -> (f32, f32) {
    ((x as f32 + 0.5) / width as f32, (y as f32 + 0.5) / height as f32)
}

/// How far the point lies outside the shape, negative inside; x to the right and y up, both from -1 to 1.
fn outside(shape: Shape, x: f32, y: f32) -> f32 {
    let radius = x.hypot(y);
    match shape {
        Shape::Star => {
            let fifth = TAU / 5.0;
            let turn = (x.atan2(y).rem_euclid(fifth) / fifth - 0.5).abs() * 2.0;
            radius - (0.4 + 0.55 * turn * turn)
        }
        Shape::Heart => {
            let lift = y * 1.15 - 0.75 * x.abs().sqrt() + 0.2;
            x.hypot(lift) - 0.8
        }
        Shape::Ring => (radius - 0.65).abs() - 0.22,
        Shape::Moon => (radius - 0.9).max(0.75 - (x - 0.4).hypot(y - 0.15)),
        Shape::Plus => {
            let (long, short) = (x.abs().max(y.abs()), x.abs().min(y.abs()));
            (long - 0.85).max(short - 0.25)
        }
        Shape::Play => (-0.6 - x).max((x + 1.6 * y.abs() - 0.85) / 1.6),
    }
}

/// One view of the harbour: everything that a seed decides.
struct Harbour {
    zenith: Colour,
    glow: Colour,
    sun: (f32, f32),
    horizon: f32,
    ridges: [[f32; 3]; 3],
    boat: f32,
    salt: u32,
}

impl Harbour {
    fn new(random: &mut Rng) -> Self {
        let hour = random.f32();
        Self {
            zenith: mix([0.16, 0.18, 0.42], [0.35, 0.55, 0.85], hour),
            glow: mix([0.98, 0.45, 0.30], [1.0, 0.86, 0.62], hour),
            sun: (0.2 + 0.6 * random.f32(), 0.28 + 0.2 * random.f32()),
            horizon: 0.56 + 0.1 * random.f32(),
            ridges: [(); 3].map(|()| [random.f32() * TAU, random.f32() * TAU, 0.6 + 0.5 * random.f32()]),
            boat: 0.15 + 0.7 * random.f32(),
            salt: random.u32(..),
        }
    }

    fn colour(&self, across: f32, down: f32) -> Colour {
        let depth = down - self.horizon;
        if depth < 0.0 {
            return self.above(across, down);
        }
        // The water shows what stands above it, upside down; ripples shift the image, the more the nearer they are.
        let ripple = (depth * 260.0 / (0.25 + depth)).sin() * depth
            + noise(self.salt, across * 30.0, down * 160.0) * 0.05;
        let mirrored = self.above(across + ripple * 0.12, self.horizon - depth * 0.9 - ripple.abs() * 0.04);
        let deep = [0.05, 0.12, 0.2];
        mix(mirrored, deep, 0.25 + 0.55 * depth)
    }

    fn above(&self, across: f32, down: f32) -> Colour {
        if let Some(colour) = self.boat(across, down) {
            return colour;
        }
        for (index, ridge) in self.ridges.iter().enumerate().rev() {
            let near = index as f32 / 2.0;
            let [first, second, size] = *ridge;
            let rough = (across * 6.0 * size + first).sin()
                + 0.5 * (across * 17.0 + second).sin()
                + 0.12 * (across * 71.0 + first).sin();
            let top = self.horizon - (0.13 - 0.09 * near) * (1.0 + 0.5 * rough);
            if down > top {
                return mix(mix(self.glow, self.zenith, 0.6), [0.06, 0.09, 0.14], 0.35 + 0.5 * near);
            }
        }
        self.sky(across, down)
    }

    fn sky(&self, across: f32, down: f32) -> Colour {
        let height = (down / self.horizon).clamp(0.0, 1.0);
        let base = mix(self.zenith, self.glow, height * height);
        let cloud = noise(self.salt, across * 4.0, down * 14.0) * 0.6
            + noise(self.salt, across * 11.0, down * 37.0) * 0.4;
        let base = mix(base, [1.0, 0.93, 0.88], 0.45 * step(cloud - 0.55, 0.2) * (1.0 - height * 0.4));
        let distance = ((across - self.sun.0) * 1.33).hypot(down - self.sun.1);
        let lit = mix(base, [1.0, 0.9, 0.7], 0.6 * (-distance * 7.0).exp());
        mix(lit, [1.0, 0.98, 0.9], step(0.045 - distance, 0.004))
    }

    fn boat(&self, across: f32, down: f32) -> Option<Colour> {
        let (x, up) = ((across - self.boat) / 0.05, (self.horizon - down) / 0.05);
        let hull = (0.0..0.35).contains(&up) && x.abs() < 0.75 + 0.5 * up;
        let main = (0.5..3.0).contains(&up) && x > 0.05 && x < 0.9 * (1.0 - (up - 0.5) / 2.5);
        let jib = (0.5..2.4).contains(&up) && x < -0.05 && -x < 0.7 * (1.0 - (up - 0.5) / 1.9);
        match (hull, main || jib) {
            (true, _) => Some([0.45, 0.13, 0.1]),
            (_, true) => Some([0.97, 0.95, 0.9]),
            _ => None,
        }
    }
}

fn plasma(turn: f32, hue: f32, across: f32, down: f32) -> Colour {
    let (x, y) = (across * 6.0, down * 6.0);
    let wave = (x + turn).sin()
        + (y * 0.8 - turn).sin()
        + ((x + y) * 0.6).sin()
        + ((x - 3.0 + turn.cos()).hypot(y - 3.0) * 1.7).sin();
    spectrum(hue + wave * 0.09)
}

fn tiles(salt: u32, hue: f32, across: f32, down: f32) -> Colour {
    const COUNT: f32 = 8.0;
    let (x, y) = (across * COUNT, down * COUNT);
    let turned = hash(salt, x.floor() as i32, y.floor() as i32) > 0.5;
    let (x, y) = (if turned { 1.0 - x.fract() } else { x.fract() }, y.fract());
    let near = x.hypot(y).min((1.0 - x).hypot(1.0 - y));
    let ground = mix(spectrum(hue), [1.0; 3], 0.75);
    mix(ground, spectrum(hue + 0.1), step(0.14 - (near - 0.5).abs(), 0.03))
}

fn bar_chart(bars: &[f32], hue: f32, across: f32, down: f32) -> Colour {
    let place = (across - 0.05) / 0.9 * bars.len() as f32;
    let inside = (0.15..0.85).contains(&place.rem_euclid(1.0)) && down < 0.95;
    let bar = if place < 0.0 { None } else { bars.get(place as usize) };
    match bar {
        Some(bar) if inside && 0.95 - down < *bar => spectrum(hue + 0.03 * place.floor()),
        _ if (down * 10.0).fract() < 0.04 => [0.8; 3],
        _ => [0.98; 3],
    }
}

/// A colour of the rainbow, 0 to 1 round the circle.
fn spectrum(hue: f32) -> Colour {
    [0.0, 1.0 / 3.0, 2.0 / 3.0].map(|shift| 0.55 + 0.4 * ((hue + shift) * TAU).cos())
}

fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|channel| from[channel] + (to[channel] - from[channel]) * share)
}

/// 0 below zero, 1 above, with a soft edge that is `blur` wide on either side.
fn step(value: f32, blur: f32) -> f32 {
    let place = (value / blur).clamp(-1.0, 1.0);
    0.5 + 0.5 * (place * PI / 2.0).sin()
}

/// Smooth noise from 0 to 1, with features about one unit wide.
fn noise(salt: u32, x: f32, y: f32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let ease = |part: f32| part * part * (3.0 - 2.0 * part);
    let (right, below) = (ease(x - column), ease(y - row));
    let corner = |across: i32, down: i32| hash(salt, column as i32 + across, row as i32 + down);
    let top = corner(0, 0) + (corner(1, 0) - corner(0, 0)) * right;
    let bottom = corner(0, 1) + (corner(1, 1) - corner(0, 1)) * right;
    top + (bottom - top) * below
}

/// A number from 0 to 1 that looks random, and is the same for the same place.
fn hash(salt: u32, x: i32, y: i32) -> f32 {
    let mut bits = salt ^ (x as u32).wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297A_2D39);
    (bits ^ (bits >> 15)) as f32 / u32::MAX as f32
}

fn byte(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_paints_the_same_picture_and_another_seed_another() {
        for scene in [Scene::Harbour, Scene::Plasma, Scene::Tiles, Scene::Bars, Scene::Icon(Shape::Star)] {
            let first = paint(scene, 1, 40, 30);
            assert_eq!(first.as_bytes(), paint(scene, 1, 40, 30).as_bytes(), "{scene:?}");
            assert_ne!(first.as_bytes(), paint(scene, 2, 40, 30).as_bytes(), "{scene:?}");
        }
    }

    #[test]
    fn an_icon_is_solid_inside_and_transparent_in_the_corners() {
        for shape in [Shape::Star, Shape::Heart, Shape::Moon, Shape::Plus, Shape::Play, Shape::Ring] {
            let icon = paint(Scene::Icon(shape), 7, 32, 32).into_rgba8();
            let solid = icon.pixels().filter(|pixel| pixel.0[3] == 255).count();
            assert!((150..850).contains(&solid), "{shape:?} covers {solid} of 1024 pixels");
            for corner in [(0, 0), (31, 0), (0, 31), (31, 31)] {
                assert_eq!(icon.get_pixel(corner.0, corner.1).0[3], 0, "{shape:?} at {corner:?}");
            }
        }
    }
}
