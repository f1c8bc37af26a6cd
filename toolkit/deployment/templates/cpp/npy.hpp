// Arrays as .npy files: the plain, row-major ones of versions 1 to 3, in this machine's byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace npy {

struct Array {
  std::string type;  // As numpy writes it: "<f4", "|b1" …
  std::vector<std::int64_t> shape;
  std::vector<std::byte> data;
};

// Bytes of one element: the number at the end of "<f4".
inline std::size_t item_size(const std::string& type) { return std::stoul(type.substr(2)); }

inline std::size_t count(const std::vector<std::int64_t>& shape) {
  std::size_t elements = 1;
  for (const auto size : shape) elements *= static_cast<std::size_t>(size);
  return elements;
}

namespace detail {

// The text behind "'key':" in a header such as {'descr': '<f4', 'fortran_order': False, 'shape': …}.
inline std::string value(const std::string& header, const std::string& key) {
  const auto at = header.find("'" + key + "':");
  if (at == std::string::npos) throw std::runtime_error("its header has no " + key);
  const auto start = header.find_first_not_of(' ', at + key.size() + 3);
  const auto end = header[start] == '(' ? header.find(')', start) : header.find_first_of(",}", start);
  return header.substr(start, end - start);
}

inline std::vector<std::int64_t> shape(const std::string& text) {
  std::vector<std::int64_t> sizes;
  for (std::size_t at = text.find_first_of("0123456789"); at != std::string::npos;) {
    std::size_t length = 0;
    sizes.push_back(std::stoll(text.substr(at), &length));
    at = text.find_first_of("0123456789", at + length);
  }
  return sizes;
}

inline Array read(std::istream& file) {
  unsigned char start[8];
  file.read(reinterpret_cast<char*>(start), sizeof start);
  if (!file || std::string(reinterpret_cast<char*>(start), 6) != "\x93NUMPY")
    throw std::runtime_error("it is no .npy file");
  unsigned char length[4] = {};
  file.read(reinterpret_cast<char*>(length), start[6] == 1 ? 2 : 4);
  std::string header(length[0] | length[1] << 8 | length[2] << 16 | length[3] << 24, ' ');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));

  Array array;
  const auto type = value(header, "descr");
  if (type.size() < 5 || type[0] != '\'' || type[1] == '>')
    throw std::runtime_error("its type is " + type);
  array.type = type.substr(1, type.size() - 2);
  array.shape = shape(value(header, "shape"));
  if (value(header, "fortran_order") != "False" && array.shape.size() > 1)
    throw std::runtime_error("it is not row-major; numpy.ascontiguousarray makes it so");
  array.data.resize(count(array.shape) * item_size(array.type));
  file.read(reinterpret_cast<char*>(array.data.data()),
            static_cast<std::streamsize>(array.data.size()));
  if (!file) throw std::runtime_error("it is shorter than its header says");
  return array;
}

}  // namespace detail

inline Array read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(path.string() + " cannot be opened");
  try {
    return detail::read(file);
  } catch (const std::exception& error) {
    throw std::runtime_error(path.string() + ": " + error.what());
  }
}

inline void write(const std::filesystem::path& path, const Array& array) {
  std::string shape;
  for (const auto size : array.shape) shape += std::to_string(size) + ",";
  std::string header =
      "{'descr': '" + array.type + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  header.resize((header.size() + 11 + 63) / 64 * 64 - 11, ' ');  // The data starts at a multiple of 64.
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  const char length[2] = {static_cast<char>(header.size() & 0xff),
                          static_cast<char>(header.size() >> 8)};
  file.write("\x93NUMPY\x01\x00", 8).write(length, 2);
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  file.write(reinterpret_cast<const char*>(array.data.data()),
             static_cast<std::streamsize>(array.data.size()));
  if (!file.flush()) throw std::runtime_error(path.string() + " cannot be written");
}

}  // namespace npy
