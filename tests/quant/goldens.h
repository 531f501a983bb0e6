/* goldens.h: two random blocks per format (eight elements of the float formats), and their elements as f32
 * bits, from gguf's own dequantizer. Made with gguf 0.19.0:
 *   gguf.quants.dequantize(np.frombuffer(bytes), type).view(np.uint32) */
/* SPDX-License-Identifier: Apache-2.0 */
static const struct {
    int32_t type, n;
    const char *bytes;
    uint32_t bits[64];
} goldens[] = {
    { 0, 8,
        "\x8b\x4a\xe5\xf1\xa9\x41\x06\xa0\x95\x6a\x26\xaf\xbc\xcd\xaf\xe5\x62\xf9\x0a\x94\x5f\x56\x93\xc6"
        "\x42\x27\x6a\xd5\xab\x2d\xa7\x39",
      {
        0xf1e54a8b, 0xa00641a9, 0xaf266a95, 0xe5afcdbc, 0x940af962, 0xc693565f, 0xd56a2742, 0x39a72dab,
      } },
    { 1, 8,
        "\x01\x00\xff\x83\xff\x7b\x00\x7c\x34\x27\xfa\x48\xd7\x32\xa1\xdf",
      {
        0x33800000, 0xb87fc000, 0x477fe000, 0x7f800000, 0x3ce68000, 0x411f4000, 0x3e5ae000, 0xc3f42000,
      } },
    { 30, 8,
        "\x70\xac\xa1\xe9\x26\x11\x59\x01\xdd\x06\xf2\x7f\x8f\x06\x3c\xd2",
      {
        0xac700000, 0xe9a10000, 0x11260000, 0x01590000, 0x06dd0000, 0x7ff20000, 0x068f0000, 0xd23c0000,
      } },
    { 2, 64,
        "\x4c\x22\xa6\x21\xf9\xbd\x0c\xcc\x21\x39\x7c\x1e\xc7\x95\xca\x77\x48\xdc\x3e\x80\x7a\x88\x93\x4d"
        "\x85\x52\x73\x57\xa2\xe6\x46\x47\xf0\x3e\x2f\xb8",
      {
        0xbcc98000, 0xbdb05000, 0x3c498000, 0x3d7be000, 0x3d498000, 0x3d498000, 0xbdb05000, 0x3c498000,
        0x3d498000, 0x3d972000, 0xbc498000, 0xbd172000, 0x3cc98000, 0xbc498000, 0x00000000, 0x3d498000,
        0x3cc98000, 0xbd972000, 0x3db05000, 0x3d172000, 0xbdc98000, 0x3d498000, 0xbd972000, 0xbd7be000,
        0xbc498000, 0xbdb05000, 0x3d498000, 0x3c498000, 0x3d498000, 0xbc498000, 0xbd498000, 0x3d7be000,
        0xb6f80000, 0x80000000, 0x379b0000, 0xb79b0000, 0x373a0000, 0x37ba0000, 0x379b0000, 0x36780000,
        0x37ba0000, 0x36f80000, 0x36f80000, 0x36780000, 0x37f80000, 0xb7ba0000, 0xb7d90000, 0x80000000,
        0x36780000, 0x80000000, 0xb6780000, 0x37780000, 0x80000000, 0x373a0000, 0x36780000, 0x373a0000,
        0xb6f80000, 0xb7ba0000, 0x37780000, 0x37780000, 0xb7d90000, 0x379b0000, 0x37ba0000, 0xb73a0000,
      } },
    { 3, 64,
        "\x4c\x22\xf6\x3a\x92\xc5\x8e\xfd\x51\x85\xf0\x71\x1e\xf7\x67\x7a\x1f\x13\x2a\x81\x3e\x80\x40\xca"
        "\xa1\x00\xb2\x8d\x6b\x23\x6b\x82\x48\x1b\xd9\xfe\x63\x0d\xc3\xce",
      {
        0x3f650c00, 0x3f6e7e00, 0x3f856a00, 0x3f83d700, 0x3f61e600, 0x3f6e7e00, 0x3f5ec000, 0x3f61e600,
        0x3f856a00, 0x3f74ca00, 0x3f74ca00, 0x3f7e3c00, 0x3f86fd00, 0x3f683200, 0x3f7e3c00, 0x3f61e600,
        0x3f7b1600, 0x3f824400, 0x3f77f000, 0x3f86fd00, 0x3f6e7e00, 0x3f77f000, 0x3f86fd00, 0x3f74ca00,
        0x3f61e600, 0x3f86fd00, 0x3f71a400, 0x3f74ca00, 0x3f61e600, 0x3f61e600, 0x3f650c00, 0x3f77f000,
        0xc1480004, 0xc1480000, 0xc1480008, 0xc1480032, 0xc148002b, 0xc148000c, 0xc148002b, 0xc1480008,
        0xc148001f, 0xc148002b, 0xc1480023, 0xc1480036, 0xc148000c, 0xc1480032, 0xc148000c, 0xc1480036,
        0xc1480027, 0xc1480000, 0xc148002b, 0xc148001f, 0xc1480017, 0xc1480008, 0xc1480017, 0xc148001f,
        0xc1480010, 0xc1480004, 0xc1480032, 0xc148003a, 0xc1480017, 0xc1480000, 0xc148002e, 0xc148002e,
      } },
    { 8, 64,
        "\x4c\x22\xeb\xca\xb7\x2f\x45\xb3\x52\x23\x47\x9f\x6e\x79\x4d\x57\x03\x7e\x2c\xfd\xe9\xe1\x5a\x77"
        "\x89\x78\x1e\x37\x21\xa5\x57\xd8\xe5\xa7\x3e\x80\x6d\xcb\x81\xdb\x3f\x65\xcf\x9c\x1b\xdc\x5d\x1d"
        "\x8f\xc8\x3f\x0b\x0b\xb4\xdb\x71\xbe\x57\x22\x09\x85\x1d\x3d\x24\xf4\xc0\xcf\x83",
      {
        0xbe843c00, 0xbf2a0400, 0xbf65d600, 0x3f13fa00, 0x3f593e00, 0xbf726e00, 0x3f811600, 0x3edc6400,
        0x3f5f8a00, 0xbf98b300, 0x3fad2a00, 0x3fbe7b00, 0x3f726e00, 0x3f88f500, 0x3d172000, 0x3fc65a00,
        0x3f0a8800, 0xbd172000, 0xbe90d400, 0xbec33400, 0x3f8dae00, 0x3fbb5500, 0xbfbb5500, 0x3fbce800,
        0x3ebce800, 0x3f2d2a00, 0x3ecfcc00, 0xbf8f4100, 0x3f88f500, 0xbefbe000, 0xbeaa0400, 0xbf8c1b00,
        0xb9d33000, 0x394d6000, 0x39f61000, 0x390f6000, 0xb9742000, 0xb9c3b000, 0x393de000, 0x39c1c000,
        0xb8d14000, 0x390b8000, 0xb9b43000, 0xb8e0c000, 0x39daf000, 0x39590000, 0xb9742000, 0xb82a8000,
        0xb82a8000, 0x39934000, 0x390f6000, 0xb9daf000, 0x397fc000, 0xb9a89000, 0xb903c000, 0xb80b8000,
        0x39ee5000, 0xb8e0c000, 0xb96c6000, 0xb90b8000, 0x383a0000, 0x39780000, 0x393de000, 0x39f23000,
      } },
};
